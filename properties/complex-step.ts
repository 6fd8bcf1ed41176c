/**
 * The derivative of the loss by the complex step: f'(x) = Im f(x + i·h) / h. Nothing is subtracted, so that
 * h may be 1e-200 and the result is right to the last digits.
 * Martins, Sturdza, Alonso 2003, "The complex-step derivative approximation", ACM TOMS 29(3).
 */

import type { Labels, Network, Nonlinearity, Point } from './reference.ts';
import { keptUnits } from './reference-dropout.ts';

interface Complex {
  readonly re: number;
  readonly im: number;
}

const stepSize = 1e-200;

function add(a: Complex, b: Complex): Complex {
  return { re: a.re + b.re, im: a.im + b.im };
}

function multiply(a: Complex, b: Complex): Complex {
  return { re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re };
}

/** tanh(a + ib) = (tanh a + i tan b) / (1 + i tanh a tan b), its imaginary part free of 1 − tanh². */
function tanh({ re, im }: Complex): Complex {
  const t = Math.tanh(re);
  const u = Math.tan(im);
  const scale = 1 + t * t * u * u;
  return { re: (t * (1 + u * u)) / scale, im: u / (Math.cosh(re) ** 2 * scale) };
}

function exp({ re, im }: Complex): Complex {
  return { re: Math.exp(re) * Math.cos(im), im: Math.exp(re) * Math.sin(im) };
}

function log({ re, im }: Complex): Complex {
  return { re: Math.log(Math.hypot(re, im)), im: Math.atan2(im, re) };
}

/** relu has no derivative at 0, where no generated case should lie. */
function activate(nonlinearity: Nonlinearity, z: Complex): Complex {
  if (nonlinearity === 'tanh') return tanh(z);
  return z.re > 0 ? z : { re: 0, im: 0 };
}

/** bias + Σ weights[k] · values[k], weights being row `row` of both parts of a matrix. */
function affine(bias: Complex, re: number[], im: number[], values: Complex[]): Complex {
  let sum = bias;
  for (let k = 0; k < values.length; k++) sum = add(sum, multiply({ re: re[k], im: im[k] }, values[k]));
  return sum;
}

function zip(re: number[], im: number[]): Complex[] {
  return re.map((value, k) => ({ re: value, im: im[k] }));
}

function stepCell(re: Network, im: Network, c: number, x: Complex[], h: Complex[]): Complex[] {
  const [real, imaginary] = [re.rnn[c], im.rnn[c]];
  return real.W_hh.map((_, j) => {
    const b_ih = { re: real.b_ih[j] ?? 0, im: imaginary.b_ih[j] ?? 0 };
    const b_hh = { re: real.b_hh[j] ?? 0, im: imaginary.b_hh[j] ?? 0 };
    const fromInput = affine(b_ih, real.W_ih[j], imaginary.W_ih[j], x);
    return activate(re.nonlinearity, affine(add(fromInput, b_hh), real.W_hh[j], imaginary.W_hh[j], h));
  });
}

/** A cell's output at every frame. The reverse direction reads the frames turned round, and is turned back. */
function runCell(re: Network, im: Network, c: number, frames: Complex[][], h0: Complex[]): Complex[][] {
  const turned = (list: Complex[][]) => (re.isBidirectional && c % 2 === 1 ? [...list].reverse() : list);
  let h = h0;
  return turned(
    turned(frames).map((frame) => {
      h = stepCell(re, im, c, frame, h);
      return h;
    }),
  );
}

/** What the layer above reads: dropout divides what it keeps by 1 − p. */
function drop(
  re: Network,
  frames: Complex[][],
  row: number,
  layer: number,
  step: number | undefined,
): Complex[][] {
  if (step === undefined) return frames;
  return frames.map((frame, time) => {
    const kept = keptUnits(re.dropout, { step, row, layer, time }, frame.length);
    const scale = 1 / (1 - re.dropout.p);
    return frame.map((h, j) => (kept[j] ? { re: h.re * scale, im: h.im * scale } : { re: 0, im: 0 }));
  });
}

function readings(re: Network, frames: Complex[][][]): Complex[][] {
  // Both directions side by side, at every frame.
  const outputs = frames[0].map((_, t) => frames.flatMap((direction) => direction[t]));
  if (re.features === 'steps') return outputs;
  if (re.features === 'last') return [[...frames[0][outputs.length - 1], ...(frames[1]?.[0] ?? [])]];
  const scale = { re: 1 / outputs.length, im: 0 };
  return [outputs[0].map((_, j) => multiply(scale, outputs.map((output) => output[j]).reduce(add)))];
}

function sampleReadings(re: Point, im: Point, b: number, step?: number): Complex[][] {
  const { network } = re;
  const D = network.isBidirectional ? 2 : 1;
  const { mean, std } = network.normalization ?? { mean: [], std: [] };
  let below = re.x[b].map((frame, t) =>
    frame.map((value, i) => {
      const scale = std[i] ?? 1;
      return { re: (value - (mean[i] ?? 0)) / scale, im: im.x[b][t][i] / scale };
    }),
  );
  let directions: Complex[][][] = [];
  for (let l = 0; l < network.rnn.length / D; l++) {
    if (l > 0) {
      const outputs = below.map((_, t) => directions.flatMap((direction) => direction[t]));
      below = drop(network, outputs, b, l - 1, step);
    }
    directions = Array.from({ length: D }, (_, d) => {
      const c = l * D + d;
      return runCell(network, im.network, c, below, zip(re.h0[c][b], im.h0[c][b]));
    });
  }
  return readings(network, directions);
}

function readingLoss({ network }: Point, im: Point, h: Complex[], label: number): Complex {
  const outputIm = im.network.output;
  const logits = network.output.b.map((bias, o) =>
    affine({ re: bias, im: outputIm.b[o] }, network.output.W[o], outputIm.W[o], h),
  );
  const largest = Math.max(...logits.map((y) => y.re));
  const shifted = logits.map((y) => ({ re: y.re - largest, im: y.im }));
  const logTotal = log(shifted.map(exp).reduce(add));
  return { re: logTotal.re - shifted[label].re, im: logTotal.im - shifted[label].im };
}

/** The loss at the point and its derivative along `direction`, a point-shaped set of arrays. */
export function complexStep(point: Point, { classes, ignored }: Labels, direction: Point, step?: number) {
  const im = structuredClone(direction);
  scaleInPlace(im, stepSize);
  const losses = classes.flatMap((labels, b) => {
    const features = sampleReadings(point, im, b, step);
    return labels.flatMap((label, k) =>
      label === ignored ? [] : [readingLoss(point, im, features[k], label)],
    );
  });
  const total = losses.reduce(add);
  return { loss: total.re / losses.length, derivative: total.im / stepSize / losses.length };
}

function scaleInPlace(nested: unknown, factor: number): void {
  if (nested === null || typeof nested !== 'object') return;
  const entries = nested as Record<string, unknown>;
  for (const key of Object.keys(entries)) {
    const entry = entries[key];
    if (typeof entry === 'number') entries[key] = entry * factor;
    else scaleInPlace(entry, factor);
  }
}
