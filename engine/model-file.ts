import { type ClassifierOptions, type ClassifierPlan, readClassifierOptions } from './classifier-options.ts';
import { badArgument, badModelFile } from './errors.ts';
import { writeFileAtomically } from './io/atomic-file.ts';
import { readSafetensors } from './io/read-safetensors.ts';
import { encodeSafetensors, type StoredTensor } from './io/safetensors.ts';
import type { Dtype } from './kernels/kernels.ts';
import { readStateDict } from './model-parameters.ts';
import { geometryOf } from './network/geometry.ts';
import type { Tensor } from './tensor.ts';

/**
 * A model's file: safetensors with PyTorch's names for the parameters and, in the metadata, what is needed to make
 * the model again. Further metadata are the user's own. A file without the former is another program's, of whose model it has
 * the sizes only.
 */
export interface ModelFile extends Header {
  readonly dtype: Dtype;
  /** In the order of the model's. */
  readonly parameters: readonly Tensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

/** What another program's file does not say of its model. */
export type UnsaidOptions = Pick<ClassifierOptions, (typeof UNSAID)[number]>;
export const UNSAID = ['nonlinearity', 'output', 'dropout', 'normalization', 'classes'] as const;

const FORMAT = 'elman 1';
/** What names in the metadata begin with that are not the user's. */
const PREFIX = 'elman.';

/** What stands in the metadata under `elman.`, each as JSON. */
type Header = Pick<ClassifierPlan, 'shape' | 'normalization' | 'classes'>;

/** Metadata of the user's own. Throws BAD_ARGUMENT. */
export function checkMetadata(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))
    throw badArgument('metadata', 'an object of strings', metadata);
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') throw badArgument(`metadata.${key}`, 'a string', value);
    if (key.startsWith(PREFIX)) throw badArgument('metadata', `names not of this library (${PREFIX}…)`, key);
  }
  return metadata;
}

export async function writeModelFile(
  path: string,
  header: Header,
  parameters: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const { shape, normalization, classes } = header;
  const { normalized, ...options } = shape;
  const own = {
    [`${PREFIX}format`]: FORMAT,
    [`${PREFIX}shape`]: JSON.stringify(options),
    ...(normalization && { [`${PREFIX}normalization`]: JSON.stringify(normalization) }),
    ...(classes && { [`${PREFIX}classes`]: JSON.stringify(classes) }),
  };
  await writeFileAtomically(path, encodeSafetensors(parameters, { ...metadata, ...own }));
}

/**
 * Everything is checked before anything is made of it.
 * @throws BAD_FILE_… where the file is no safetensors, BAD_MODEL_FILE where it holds no model, BAD_ARGUMENT
 */
export async function readModelFile(path: string, unsaid: UnsaidOptions): Promise<ModelFile> {
  const { tensors, metadata } = await readSafetensors(path, 'model file');
  const stored = Object.fromEntries(tensors);
  const header =
    `${PREFIX}format` in metadata ? readHeader(path, metadata, unsaid) : inferHeader(path, stored, unsaid);
  const dtype = matrixOf(path, stored, 'output.weight').dtype;
  const parameters = inFile(path, '', () => readStateDict(geometryOf(header.shape, dtype), stored));
  const own = Object.entries(metadata).filter(([key]) => !key.startsWith(PREFIX));
  return { ...header, dtype, parameters, metadata: Object.fromEntries(own) };
}

/** What is wrong with an argument is wrong with the file that it came from. */
function inFile<T>(path: string, where: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw badModelFile(path, `${where}${cause instanceof Error ? cause.message : cause}`, cause);
  }
}

/** The options are checked as those of create are: a damaged file says what is wrong with it. */
function readHeader(path: string, metadata: Readonly<Record<string, string>>, unsaid: UnsaidOptions): Header {
  const format = metadata[`${PREFIX}format`];
  if (format !== FORMAT) throw badModelFile(path, `its format is ${format}, expected ${FORMAT}`);
  const said = UNSAID.find((name) => unsaid[name] !== undefined);
  if (said) throw badArgument(said, 'nothing, since the file says it', unsaid[said]);
  const { shape, normalization, classes } = readJson(path, metadata);
  const options = { ...(shape as object), normalization, classes } as ClassifierOptions;
  return inFile(path, 'in its metadata, ', () => readClassifierOptions(options));
}

/** The sizes of a model whose arrays have PyTorch's names. */
function inferHeader(
  path: string,
  stored: Readonly<Record<string, StoredTensor>>,
  unsaid: UnsaidOptions,
): Header {
  const [hiddenSize, inputSize] = matrixOf(path, stored, 'rnn.weight_ih_l0').shape;
  const [outputSize] = matrixOf(path, stored, 'output.weight').shape;
  let numLayers = 1;
  while (`rnn.weight_ih_l${numLayers}` in stored) numLayers++;
  const sizes = {
    ...{ inputSize, hiddenSize, outputSize, numLayers },
    ...{ bidirectional: 'rnn.weight_ih_l0_reverse' in stored, bias: 'rnn.bias_ih_l0' in stored },
  };
  inFile(path, '', () => readClassifierOptions(sizes));
  return readClassifierOptions({ ...sizes, ...unsaid });
}

function matrixOf(path: string, stored: Readonly<Record<string, StoredTensor>>, name: string): StoredTensor {
  const tensor = stored[name];
  if (tensor?.shape.length !== 2) {
    const expected =
      'arrays named as by a PyTorch module with an nn.RNN called rnn and an nn.Linear called output';
    throw badModelFile(path, `it has no matrix ${name}, expected ${expected}`);
  }
  return tensor;
}

function readJson(path: string, metadata: Readonly<Record<string, string>>): Record<string, unknown> {
  const read = (name: string): unknown => {
    const text = metadata[PREFIX + name];
    if (text === undefined && name !== 'shape') return undefined;
    try {
      return JSON.parse(text ?? '');
    } catch (cause) {
      throw badModelFile(path, `${PREFIX}${name} in its metadata cannot be read`, cause);
    }
  };
  return { shape: read('shape'), normalization: read('normalization'), classes: read('classes') };
}
