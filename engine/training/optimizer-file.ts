import { plain, shorten } from '../describe.ts';
import { badArgument, badModelFile } from '../errors.ts';
import { checksum } from '../io/checksum.ts';
import { parseJson } from '../io/json.ts';
import { readSafetensors } from '../io/read-safetensors.ts';
import type { StoredTensor } from '../io/safetensors.ts';
import type { Geometry, Parameter } from '../network/memory/geometry.ts';
import { newReals, type RealArray } from '../numeric/reals.ts';
import { isCounts, type OptimizerCounts, type OptimizerSpec } from '../optimization/optimizers.ts';
import type { OptimizerState } from './optimizer-slot.ts';

/**
 * An optimizer's state in the file of its model, since neither is of use without the other: both
 * moments of each parameter and, in the metadata, the optimizer's type, its counts, and a checksum.
 */

type Stored = Readonly<Record<string, StoredTensor>>;

const PREFIX = 'optimizer.';
const KEY = 'elman.optimizer';
const CHECKSUM = 'elman.optimizer.sha256';
const MOMENTS = ['first', 'second'] as const;

const nameOf = (moment: (typeof MOMENTS)[number], { name }: Parameter): string =>
  `${PREFIX}${moment}.${name}`;

/** What is to be added to the model's file. */
export function storeOptimizer(
  g: Geometry,
  { type }: OptimizerSpec,
  state: OptimizerState,
): { tensors: Stored; metadata: Readonly<Record<string, string>> } {
  const tensors: Record<string, StoredTensor> = {};
  for (const moment of MOMENTS) {
    for (const parameter of g.parameters) {
      const { shape, offset, size } = parameter;
      const data = state[moment].subarray(offset, offset + size);
      tensors[nameOf(moment, parameter)] = { dtype: g.dtype, shape, data };
    }
  }
  const text = JSON.stringify({ type, counts: state.counts });
  return { tensors, metadata: { [KEY]: text, [CHECKSUM]: checksum(text, tensors) } };
}

/** Divides a file's arrays into those of the optimizer, if it has one, and the others. */
export function splitOptimizer(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>>,
): { optimizer: Stored; others: Stored } {
  const isIts = (name: string): boolean => KEY in metadata && name.startsWith(PREFIX);
  const all = [...tensors];
  return {
    optimizer: Object.fromEntries(all.filter(([name]) => isIts(name))),
    others: Object.fromEntries(all.filter(([name]) => !isIts(name))),
  };
}

/**
 * Reads an optimizer's state from the file of a model.
 * @throws BAD_FILE_… and BAD_MODEL_FILE where the file is damaged or has no optimizer's state;
 * BAD_ARGUMENT where it is of an optimizer of another type, or of a model of other parameters
 */
export async function readOptimizer(
  source: string | Uint8Array,
  g: Geometry,
  { type }: OptimizerSpec,
): Promise<OptimizerState> {
  const { name, tensors, metadata } = await readSafetensors(source, 'the file of a model');
  const { optimizer: stored } = splitOptimizer(tensors, metadata);
  const text = metadata[KEY];
  if (text === undefined) throw badModelFile(name, 'it holds no state of an optimizer');
  if (metadata[CHECKSUM] !== checksum(text, stored))
    throw badModelFile(name, "the optimizer's state is not that of its checksum");
  const said = parse(text);
  if (!said) throw badModelFile(name, `${KEY} in its metadata cannot be read`);
  if (said.type !== type)
    throw badArgument(
      'source',
      `the state of an optimizer of type ${type}`,
      plain(`${shorten(said.type)} in ${name}`),
    );
  checkShapes(name, g, stored);
  const block = (moment: (typeof MOMENTS)[number]): RealArray => {
    const values = newReals(g.dtype, g.paddedCount);
    for (const parameter of g.parameters)
      values.set(stored[nameOf(moment, parameter)].data, parameter.offset);
    return values;
  };
  return { first: block('first'), second: block('second'), counts: said.counts };
}

/**
 * Parses the metadata. The checksum says that nobody has changed them since, not that they are what
 * this version writes.
 */
function parse(text: string): { type: string; counts: OptimizerCounts } | null {
  try {
    const { type, counts } = parseJson(text) as Record<string, unknown>;
    return typeof type === 'string' && isCounts(counts) ? { type, counts } : null;
  } catch {
    return null;
  }
}

/** Checks that the moments match the model's parameters exactly. */
function checkShapes(file: string, g: Geometry, stored: Stored): void {
  const text = ({ dtype, shape }: Pick<StoredTensor, 'dtype' | 'shape'>) => `${dtype} [${shape.join(', ')}]`;
  const expected = new Map<string, string>();
  for (const moment of MOMENTS) {
    for (const parameter of g.parameters)
      expected.set(nameOf(moment, parameter), text({ dtype: g.dtype, shape: parameter.shape }));
  }
  for (const name of new Set([...expected.keys(), ...Object.keys(stored)])) {
    const [wanted, got] = [expected.get(name) ?? 'none', stored[name] ? text(stored[name]) : 'none'];
    if (wanted !== got)
      throw badArgument(
        'source',
        `the state of an optimizer of this model, ${shorten(name)}: ${wanted}`,
        plain(`${got} in ${file}`),
      );
  }
}
