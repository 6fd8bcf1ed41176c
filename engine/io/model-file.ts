import { readFile } from 'node:fs/promises';
import { badModelFile } from '../errors.ts';
import type { Dtype } from '../kernels/kernels.ts';
import type { NetworkShape } from '../network/geometry.ts';
import type { Tensor } from '../tensor.ts';
import { writeFileAtomically } from './atomic-file.ts';
import { decodeSafetensors, encodeSafetensors, type StoredTensor } from './safetensors.ts';

/**
 * A model's file: safetensors with PyTorch's names for the parameters and, in the metadata, what is needed to make
 * the model again. Further metadata are the user's own.
 */
export interface ModelFile {
  readonly shape: NetworkShape;
  readonly dtype: Dtype;
  readonly parameters: Readonly<Record<string, StoredTensor>>;
  readonly metadata: Readonly<Record<string, string>>;
}

const FORMAT = 'elman 1';
const KEYS = { format: 'elman.format', shape: 'elman.shape' } as const;

export async function writeModelFile(
  path: string,
  shape: NetworkShape,
  parameters: Readonly<Record<string, Tensor>>,
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  const own = { [KEYS.format]: FORMAT, [KEYS.shape]: JSON.stringify(shape) };
  await writeFileAtomically(path, encodeSafetensors(parameters, { ...metadata, ...own }));
}

/** Throws BAD_FILE_… where the file is no safetensors, BAD_MODEL_FILE where it holds no model of this library. */
export async function readModelFile(path: string): Promise<ModelFile> {
  const { tensors, metadata } = decodeSafetensors(await readFile(path));
  const { [KEYS.format]: format, [KEYS.shape]: shape, ...own } = metadata;
  if (format !== FORMAT)
    throw badModelFile(path, `its format is ${format ?? 'not given'}, expected ${FORMAT}`);
  const parameters = Object.fromEntries(tensors);
  const dtype = parameters['output.weight']?.dtype;
  if (dtype === undefined) throw badModelFile(path, 'it has no output.weight');
  return { shape: readShape(path, shape), dtype, parameters, metadata: own };
}

function readShape(path: string, text: string | undefined): NetworkShape {
  let shape: Partial<NetworkShape> | null = null;
  try {
    shape = JSON.parse(text ?? '');
  } catch (cause) {
    throw badModelFile(path, `${KEYS.shape} in its metadata cannot be read`, cause);
  }
  const size = (name: keyof NetworkShape): number => {
    const value = shape?.[name];
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1) return value;
    throw badModelFile(path, `${name} in its metadata is ${value}, expected an integer, 1 or more`);
  };
  return {
    inputSize: size('inputSize'),
    hiddenSize: size('hiddenSize'),
    outputSize: size('outputSize'),
    numLayers: size('numLayers'),
  };
}
