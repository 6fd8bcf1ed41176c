import { quote } from '../describe.ts';
import { badArgument, badModelFile, messageOf } from '../errors.ts';
import { parseJson } from '../io/json.ts';
import { readSafetensors } from '../io/read-safetensors.ts';
import { encodeSafetensors, type StoredTensor } from '../io/safetensors.ts';
import { geometryOf } from '../network/memory/geometry.ts';
import type { Tensor } from '../tensor.ts';
import { CHECKPOINT_KEY } from '../training/checkpoint.ts';
import { splitOptimizer, type storeOptimizer } from '../training/optimizer-file.ts';
import {
  type ClassifierOptions,
  type ClassifierSpec,
  classifierSpec,
  FOREIGN_OPTIONS,
  type ForeignOptions,
} from './classifier-options.ts';
import { readStateDict } from './model-parameters.ts';
import { dtypeOf, sizesOf } from './pytorch-file.ts';

/**
 * A model's file: safetensors with PyTorch's names for the parameters and, under `elman.` in the
 * metadata, what is needed to make the model again; all other metadata are the user's own. A file
 * without the latter comes from another program and tells only the sizes of its model.
 */
export interface ModelFile extends ReadHeader {
  /** In the model's own order. */
  readonly parameters: readonly Tensor[];
  readonly metadata: Readonly<Record<string, string>>;
}

const FORMAT = 'elman 1';
/** Prefix of the names in the metadata that are not the user's. */
const PREFIX = 'elman.';

/** What the metadata hold under `elman.`, each as JSON. */
type Header = Pick<ClassifierSpec, 'shape' | 'normalization' | 'classes'>;
/** And the data type, which the arrays have. */
type ReadHeader = Header & Pick<ClassifierSpec, 'dtype'>;

/** Checks metadata of the user's own; returns a copy. Throws BAD_ARGUMENT. */
export function readMetadata(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata))
    throw badArgument('metadata', 'an object of strings', metadata);
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') throw badArgument(`metadata.${key}`, 'a string', value);
    if (key.startsWith(PREFIX)) throw badArgument('metadata', `names not of this library (${PREFIX}…)`, key);
  }
  return { ...metadata };
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
 * Reads a model's file; everything is checked before any of it is used.
 * @throws BAD_FILE_… where the file is not valid safetensors, BAD_MODEL_FILE where it holds no model,
 * BAD_ARGUMENT where `foreign` is wrong or the file contains those options itself
 */
export async function readModelFile(
  source: string | Uint8Array,
  foreign: ForeignOptions,
): Promise<ModelFile> {
  const { name, tensors, metadata } = await readSafetensors(source, 'the file of a model');
  const { others: stored } = splitOptimizer(tensors, metadata);
  const read = `${PREFIX}format` in metadata ? readHeader : inferHeader;
  const header = read(name, stored, metadata, foreign);
  const g = geometryOf(header.shape, header.dtype);
  const parameters = inFile(name, '', () => readStateDict('arrays', g, stored));
  const own = Object.entries(metadata).filter(([key]) => !key.startsWith(PREFIX));
  return { ...header, parameters, metadata: Object.fromEntries(own) };
}

/** Reports a bad argument as a fault of the file it came from. Throws BAD_MODEL_FILE. */
function inFile<T>(file: string, where: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw badModelFile(file, where + messageOf(cause), cause);
  }
}

/**
 * The header of a file of this library. Its options are checked like those of `create`, so that an
 * error names what is damaged.
 */
function readHeader(
  file: string,
  stored: Readonly<Record<string, StoredTensor>>,
  metadata: Readonly<Record<string, string>>,
  foreign: ForeignOptions,
): ReadHeader {
  const format = metadata[`${PREFIX}format`];
  if (format !== FORMAT)
    throw badModelFile(file, `its format is ${quote(format)}, expected ${quote(FORMAT)}`);
  const said = FOREIGN_OPTIONS.find((name) => (foreign[name] ?? null) !== null);
  if (said) throw badArgument(said, 'nothing, since the file says it', foreign[said]);
  const { shape, normalization, classes } = readJson(file, metadata);
  const dtype = dtypeOf(file, stored);
  const options = { ...(shape as object), normalization, classes, dtype } as ClassifierOptions;
  return inFile(file, 'in its metadata, ', () => headerOf(options));
}

function headerOf(options: ClassifierOptions): ReadHeader {
  const { shape, normalization, classes, dtype } = classifierSpec(options);
  return { shape, normalization, classes, dtype };
}

/** The header of another program's file, from its tensors. */
function inferHeader(
  file: string,
  stored: Readonly<Record<string, StoredTensor>>,
  metadata: Readonly<Record<string, string>>,
  foreign: ForeignOptions,
): ReadHeader {
  if (CHECKPOINT_KEY in metadata)
    throw badModelFile(file, 'it is a checkpoint of fit, which goes on from it with checkpoint.resume');
  const sizes = sizesOf(file, stored);
  // Checked twice: a fault in the sizes is the file's, any other the caller's.
  inFile(file, '', () => classifierSpec(sizes));
  return headerOf({ ...sizes, ...foreign, dtype: dtypeOf(file, stored) });
}

function readJson(file: string, metadata: Readonly<Record<string, string>>): Record<string, unknown> {
  const read = (name: string): unknown => {
    const text = metadata[PREFIX + name];
    if (text === undefined && name !== 'shape') return undefined;
    try {
      return parseJson(text ?? '');
    } catch (cause) {
      throw badModelFile(file, `${PREFIX}${name} in its metadata cannot be read`, cause);
    }
  };
  return { shape: read('shape'), normalization: read('normalization'), classes: read('classes') };
}
