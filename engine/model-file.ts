import { readFile } from 'node:fs/promises';
import { type ClassifierOptions, readClassifierOptions } from './classifier-options.ts';
import type { NormalizationSpec } from './data/normalization.ts';
import { badArgument, badModelFile, ElmanError } from './errors.ts';
import { writeFileAtomically } from './io/atomic-file.ts';
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from './io/safetensors.ts';
import type { Dtype } from './kernels/kernels.ts';
import type { NetworkShape } from './network/geometry.ts';
import type { Tensor } from './tensor.ts';

/**
 * A model's file: safetensors with PyTorch's names for the parameters and, in the metadata, what is needed to make
 * the model again. Further metadata are the user's own.
 */
export interface ModelFile {
  readonly shape: Required<NetworkShape>;
  readonly normalization: NormalizationSpec | null;
  readonly classes: readonly string[] | null;
  readonly dtype: Dtype;
  readonly parameters: Readonly<Record<string, StoredTensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

const FORMAT = 'elman 1';
/** What names in the metadata begin with that are not the user's. */
const PREFIX = 'elman.';

/** What stands in the metadata under `elman.`, each as JSON. */
type Header = Pick<ModelFile, 'shape' | 'normalization' | 'classes'>;

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

/** Throws BAD_FILE_… where the file is no safetensors, BAD_MODEL_FILE where it holds no model of this library. */
export async function readModelFile(path: string): Promise<ModelFile> {
  const { tensors, metadata } = decodeFile(path, await readFile(path));
  const format = metadata[`${PREFIX}format`];
  if (format !== FORMAT)
    throw badModelFile(path, `its format is ${format ?? 'not given'}, expected ${FORMAT}`);
  const parameters = Object.fromEntries(tensors);
  const dtype = parameters['output.weight']?.dtype;
  if (dtype === undefined) throw badModelFile(path, 'it has no output.weight');
  const own = Object.entries(metadata).filter(([key]) => !key.startsWith(PREFIX));
  return { ...readHeader(path, metadata), dtype, parameters, metadata: Object.fromEntries(own) };
}

function decodeFile(path: string, bytes: Uint8Array): ReturnType<typeof decodeSafetensors> {
  try {
    return decodeSafetensors(bytes);
  } catch (cause) {
    throw cause instanceof ElmanError
      ? new ElmanError(cause.code, `${path} is no whole model file: ${cause.message}`, { cause })
      : cause;
  }
}

/** The options are checked as those of create are: a damaged file says what is wrong with it. */
function readHeader(path: string, metadata: Readonly<Record<string, string>>): Header {
  const { shape: given, normalization, classes } = readJson(path, metadata);
  try {
    const options = { ...(given as object), normalization, classes } as ClassifierOptions;
    const { shape, ...rest } = readClassifierOptions(options);
    return { shape, normalization: rest.normalization, classes: rest.classes };
  } catch (cause) {
    throw badModelFile(path, `in its metadata, ${cause instanceof Error ? cause.message : cause}`, cause);
  }
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
