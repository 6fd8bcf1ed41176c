import { quote, shorten } from '../describe.ts';
import { badModelFile } from '../errors.ts';
import type { StoredTensor } from '../io/safetensors.ts';
import type { ClassifierOptions } from './classifier-options.ts';

/**
 * What a safetensors file of PyTorch tells of its model: the sizes, from the names and shapes of its
 * arrays, which are those of an nn.RNN called rnn and an nn.Linear called output
 * (https://pytorch.org/docs/stable/generated/torch.nn.RNN.html).
 */

type Stored = Readonly<Record<string, StoredTensor>>;

/** How many names of an unknown file's arrays an error lists. */
const NAMES_TOLD = 4;

/** The model's sizes. Throws BAD_MODEL_FILE. */
export function sizesOf(file: string, stored: Stored): ClassifierOptions {
  const [rows, inputSize] = matrixOf(file, stored, 'rnn.weight_ih_l0').shape;
  const [, hiddenSize] = matrixOf(file, stored, 'rnn.weight_hh_l0').shape;
  if (rows !== hiddenSize) {
    const gates = `its rnn.weight_ih_l0 has ${rows} rows for ${hiddenSize} units`;
    throw badModelFile(file, `${gates}, expected as many: an nn.RNN, not an LSTM or a GRU`);
  }
  const [outputSize] = matrixOf(file, stored, 'output.weight').shape;
  let numLayers = 1;
  while (`rnn.weight_ih_l${numLayers}` in stored) numLayers++;
  return {
    inputSize,
    hiddenSize,
    outputSize,
    numLayers,
    bidirectional: 'rnn.weight_ih_l0_reverse' in stored,
    bias: 'rnn.bias_ih_l0' in stored,
  };
}

/** The data type that all arrays share. Throws BAD_MODEL_FILE where they do not. */
export function dtypeOf(file: string, stored: Stored): StoredTensor['dtype'] {
  const { dtype } = matrixOf(file, stored, 'output.weight');
  const odd = Object.keys(stored).find((name) => stored[name].dtype !== dtype);
  if (odd === undefined) return dtype;
  const found = `${quote(odd)} is ${stored[odd].dtype}, output.weight ${dtype}`;
  throw badModelFile(file, `${found}: expected one data type`);
}

function matrixOf(file: string, stored: Stored, name: string): StoredTensor {
  const tensor = stored[name];
  if (tensor?.shape.length === 2) return tensor;
  if (tensor)
    throw badModelFile(
      file,
      `${name} has the shape [${shorten(tensor.shape.join(', '))}], expected a matrix`,
    );
  const names = Object.keys(stored).slice(0, NAMES_TOLD).map(quote);
  const others = names.length > 0 ? names.join(', ') : 'no arrays';
  const expected = 'those of a PyTorch module with an nn.RNN called rnn and an nn.Linear called output';
  throw badModelFile(file, `it has no ${name} but ${others}, expected ${expected}`);
}
