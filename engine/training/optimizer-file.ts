import { badArgument, badCheckpoint, plain } from '../errors.ts';
import { writeFileAtomically } from '../io/atomic-file.ts';
import { checksum } from '../io/checksum.ts';
import { readSafetensors } from '../io/read-safetensors.ts';
import { encodeSafetensors, type StoredTensor } from '../io/safetensors.ts';
import type { Geometry, Parameter } from '../network/geometry.ts';
import type { OptimizerSpec } from '../optimization/optimizers.ts';
import { newReals, type RealArray } from '../tensor.ts';
import type { OptimizerState } from './optimizer-slot.ts';

/**
 * An optimizer's file: safetensors with both moments of each parameter, and in the metadata its type, how far it has
 * counted, and a checksum of everything.
 */

const KEY = 'elman.optimizer';
const CHECKSUM = 'elman.sha256';
const MOMENTS = ['first', 'second'] as const;

const nameOf = (moment: (typeof MOMENTS)[number], { name }: Parameter): string => `${moment}.${name}`;

export async function writeOptimizerFile(
  path: string,
  g: Geometry,
  { type }: OptimizerSpec,
  state: OptimizerState,
): Promise<void> {
  const tensors: Record<string, StoredTensor> = {};
  for (const moment of MOMENTS) {
    for (const parameter of g.parameters) {
      const { shape, offset, size } = parameter;
      const data = state[moment].subarray(offset, offset + size);
      tensors[nameOf(moment, parameter)] = { dtype: g.dtype, shape, data };
    }
  }
  const text = JSON.stringify({ type, counts: state.counts });
  const metadata = { [KEY]: text, [CHECKSUM]: checksum(text, tensors) };
  await writeFileAtomically(path, encodeSafetensors(tensors, metadata));
}

/**
 * @throws BAD_FILE_… and BAD_CHECKPOINT where the file is damaged or something else; BAD_ARGUMENT where it is of an optimizer
 * of another type, or of a model of other parameters
 */
export async function readOptimizerFile(
  path: string,
  g: Geometry,
  { type }: OptimizerSpec,
): Promise<OptimizerState> {
  const read = await readSafetensors(path, "optimizer's file");
  const stored = Object.fromEntries(read.tensors);
  const text = read.metadata[KEY];
  if (text === undefined) throw badCheckpoint(path, 'it says nothing of an optimizer');
  if (read.metadata[CHECKSUM] !== checksum(text, stored))
    throw badCheckpoint(path, 'its contents are not those of its checksum');
  const said = JSON.parse(text);
  if (said.type !== type)
    throw badArgument('path', `the file of an optimizer of type ${type}`, plain(said.type));
  const moments = (moment: (typeof MOMENTS)[number]): RealArray => {
    const block = newReals(g.dtype, g.blockSize);
    for (const parameter of g.parameters)
      block.set(momentOf(stored, nameOf(moment, parameter), parameter, g), parameter.offset);
    return block;
  };
  return { first: moments('first'), second: moments('second'), counts: said.counts };
}

function momentOf(
  stored: Readonly<Record<string, StoredTensor>>,
  name: string,
  { shape }: Parameter,
  { dtype }: Geometry,
): RealArray {
  const tensor = stored[name];
  const [expected, got] = [{ dtype, shape }, tensor].map(
    (of) => of && `${of.dtype} [${of.shape.join(', ')}]`,
  );
  if (got !== expected)
    throw badArgument(
      'path',
      `the file of an optimizer of such a model, with ${name} ${expected}`,
      plain(got ?? 'none'),
    );
  return tensor.data;
}
