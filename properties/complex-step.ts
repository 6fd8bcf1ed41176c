/**
 * The derivative of the loss by the complex step: f'(x) = Im f(x + i·h) / h. Nothing is subtracted, so that
 * h may be 1e-200 and the result is right to the last digits.
 * Martins, Sturdza, Alonso 2003, "The complex-step derivative approximation", ACM TOMS 29(3).
 */
import type { Network, Point } from './reference.ts';

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

/** bias + Σ weights[k] · values[k], weights being row `row` of both parts of a matrix. */
function affine(bias: Complex, re: number[], im: number[], values: Complex[]): Complex {
  let sum = bias;
  for (let k = 0; k < values.length; k++) sum = add(sum, multiply({ re: re[k], im: im[k] }, values[k]));
  return sum;
}

function zip(re: number[], im: number[]): Complex[] {
  return re.map((value, k) => ({ re: value, im: im[k] }));
}

function stepLayer(re: Network, im: Network, l: number, x: Complex[], h: Complex[]): Complex[] {
  const [real, imaginary] = [re.rnn[l], im.rnn[l]];
  return real.b_ih.map((_, j) => {
    const b_ih = { re: real.b_ih[j], im: imaginary.b_ih[j] };
    const b_hh = { re: real.b_hh[j], im: imaginary.b_hh[j] };
    const fromInput = affine(b_ih, real.W_ih[j], imaginary.W_ih[j], x);
    return tanh(affine(add(fromInput, b_hh), real.W_hh[j], imaginary.W_hh[j], h));
  });
}

function sampleLoss(re: Point, im: Point, b: number, label: number): Complex {
  let h = re.h0.map((layer, l) => zip(layer[b], im.h0[l][b]));
  for (let t = 0; t < re.x[b].length; t++) {
    let below = zip(re.x[b][t], im.x[b][t]);
    h = h.map((state, l) => {
      below = stepLayer(re.network, im.network, l, below, state);
      return below;
    });
  }
  const { output } = re.network;
  const outputIm = im.network.output;
  const top = h[h.length - 1];
  const logits = output.b.map((bias, o) =>
    affine({ re: bias, im: outputIm.b[o] }, output.W[o], outputIm.W[o], top),
  );
  const largest = Math.max(...logits.map((y) => y.re));
  const shifted = logits.map((y) => ({ re: y.re - largest, im: y.im }));
  const logTotal = log(shifted.map(exp).reduce(add));
  return { re: logTotal.re - shifted[label].re, im: logTotal.im - shifted[label].im };
}

/** The loss at the point and its derivative along `direction`, a point-shaped set of arrays. */
export function complexStep(point: Point, labels: number[], direction: Point) {
  const im = structuredClone(direction);
  scaleInPlace(im, stepSize);
  const losses = labels.map((label, b) => sampleLoss(point, im, b, label));
  const total = losses.reduce(add);
  return { loss: total.re / labels.length, derivative: total.im / stepSize / labels.length };
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
