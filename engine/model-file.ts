import {
  type ClassifierOptions,
  type ClassifierPlan,
  FOREIGN_OPTIONS,
  type ForeignOptions,
  readClassifierOptions,
} from './classifier-options.ts';
import { badArgument, badModelFile, quote } from './errors.ts';
import { readSafetensors } from './io/read-safetensors.ts';
import { encodeSafetensors, type StoredTensor } from './io/safetensors.ts';
import type { Dtype } from './kernels/kernels.ts';
import { readStateDict } from './model-parameters.ts';
import { geometryOf } from './network/geometry.ts';
import { dtypeOf, sizesOf } from './pytorch-file.ts';
import type { Tensor } from './tensor.ts';
import { CHECKPOINT_KEY } from './training/checkpoint.ts';
import { splitOptimizer, type storeOptimizer } from './training/optimizer-file.ts';

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

const FORMAT = 'elman 1';
/** What names in the metadata begin with that are not the user's. */
const PREFIX = 'elman.';

/** What stands in the metadata under `elman.`, each as JSON. */
type Header = Pick<ClassifierPlan, 'shape' | 'normalization' | 'classes'>;

/** Metadata of the user's own. Throws BAD_ARGUMENT. */
export function checkMetadata(metadata: Readonly<Record<string, string>>): void {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))
    throw badArgument('metadata', 'an object of strings', metadata);
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') throw badArgument(`metadata.${key}`, 'a string', value);
    if (key.startsWith(PREFIX)) throw badArgument('metadata', `names not of this library (${PREFIX}…)`, key);
  }
}

/** The bytes of a model's file. */
export function encodeModel(
  header: Header,
  parameters: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>>,
  optimizer: ReturnType<typeof storeOptimizer> | null,
): Uint8Array {
  const { shape, normalization, classes } = header;
  const { normalized, ...options } = shape;
  const own = {
    [`${PREFIX}format`]: FORMAT,
    [`${PREFIX}shape`]: JSON.stringify(options),
    ...(normalization && { [`${PREFIX}normalization`]: JSON.stringify(normalization) }),
    ...(classes && { [`${PREFIX}classes`]: JSON.stringify(classes) }),
  };
  const tensors = { ...parameters, ...optimizer?.tensors };
  const all = { ...metadata, ...own, ...optimizer?.metadata };
  return encodeSafetensors(tensors, all);
}

/**
 * Everything is checked before anything is made of it.
 * @throws BAD_FILE_… where the file is no safetensors, BAD_MODEL_FILE where it holds no model, BAD_ARGUMENT
 */
export async function readModelFile(
  source: string | Uint8Array,
  foreign: ForeignOptions,
): Promise<ModelFile> {
  const { name, tensors, metadata } = await readSafetensors(source, 'the file of a model');
  const { others: stored } = splitOptimizer(tensors, metadata);
  const header =
    `${PREFIX}format` in metadata
      ? readHeader(name, metadata, foreign)
      : inferHeader(name, stored, metadata, foreign);
  const dtype = dtypeOf(name, stored);
  const g = geometryOf(header.shape, dtype);
  const parameters = inFile(name, '', () => readStateDict('arrays', g, stored));
  const own = Object.entries(metadata).filter(([key]) => !key.startsWith(PREFIX));
  return { ...header, dtype, parameters, metadata: Object.fromEntries(own) };
}

/** What is wrong with an argument is wrong with the file that it came from. */
function inFile<T>(file: string, where: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw badModelFile(file, `${where}${cause instanceof Error ? cause.message : cause}`, cause);
  }
}

/** The options are checked as those of create are: a damaged file says what is wrong with it. */
function readHeader(
  file: string,
  metadata: Readonly<Record<string, string>>,
  foreign: ForeignOptions,
): Header {
  const format = metadata[`${PREFIX}format`];
  if (format !== FORMAT)
    throw badModelFile(file, `its format is ${quote(format)}, expected ${quote(FORMAT)}`);
  const said = FOREIGN_OPTIONS.find((name) => (foreign[name] ?? null) !== null);
  if (said) throw badArgument(said, 'nothing, since the file says it', foreign[said]);
  const { shape, normalization, classes } = readJson(file, metadata);
  const options = { ...(shape as object), normalization, classes } as ClassifierOptions;
  return inFile(file, 'in its metadata, ', () => headerOf(options));
}

function headerOf(options: ClassifierOptions): Header {
  const { shape, normalization, classes } = readClassifierOptions(options);
  return { shape, normalization, classes };
}

/** Of another program's file. */
function inferHeader(
  file: string,
  stored: Readonly<Record<string, StoredTensor>>,
  metadata: Readonly<Record<string, string>>,
  foreign: ForeignOptions,
): Header {
  if (CHECKPOINT_KEY in metadata)
    throw badModelFile(file, 'it is a checkpoint of fit, which goes on from it with checkpoint.resume');
  const sizes = sizesOf(file, stored);
  // Twice: what is wrong with the sizes is wrong with the file, what is wrong with the rest was said by the caller.
  inFile(file, '', () => readClassifierOptions(sizes));
  return headerOf({ ...sizes, ...foreign });
}

function readJson(file: string, metadata: Readonly<Record<string, string>>): Record<string, unknown> {
  const read = (name: string): unknown => {
    const text = metadata[PREFIX + name];
    if (text === undefined && name !== 'shape') return undefined;
    try {
      return JSON.parse(text ?? '');
    } catch (cause) {
      throw badModelFile(file, `${PREFIX}${name} in its metadata cannot be read`, cause);
    }
  };
  return { shape: read('shape'), normalization: read('normalization'), classes: read('classes') };
}
