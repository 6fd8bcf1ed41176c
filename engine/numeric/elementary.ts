/**
 * log and cos from + − × ÷ and integer operations only. ECMAScript leaves the last bits of Math.log and Math.cos to
 * the engine; whatever reaches a parameter (random draws, schedules) uses these, so that it is the same everywhere.
 *
 * Formulas and coefficients: fdlibm (Sun Microsystems, 1993), e_log.c, k_sin.c and k_cos.c,
 * https://www.netlib.org/fdlibm/.
 */

const words = new DataView(new ArrayBuffer(8));

const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;

/** Coefficients of (log(1 + f) − f + f²/2) / s − f²/2 as a polynomial in s², s = f / (2 + f). */
const LG1 = 0.6666666666666735;
const LG2 = 0.3999999999940942;
const LG3 = 0.2857142874366239;
const LG4 = 0.22222198432149784;
const LG5 = 0.1818357216161805;
const LG6 = 0.15313837699209373;
const LG7 = 0.14798198605116586;

/**
 * The natural logarithm, within one unit in the last place. log(±0) = −∞, log(x < 0) = NaN, log(∞) = ∞.
 *
 * x = 2ᵏ (1 + f) with √½ < 1 + f < √2, and log x = k ln 2 + log(1 + f).
 */
export function log(x: number): number {
  if (!(x > 0)) return x === 0 ? -Infinity : NaN;
  if (x === Infinity) return x;
  const { exponent: k, fraction: f } = splitNearOne(x);
  const s = f / (2 + f);
  const z = s * s;
  const w = z * z;
  const odd = z * (LG1 + w * (LG3 + w * (LG5 + w * LG7)));
  const even = w * (LG2 + w * (LG4 + w * LG6));
  const halfSquare = 0.5 * f * f;
  return k * LN2_HIGH - (halfSquare - (s * (halfSquare + odd + even) + k * LN2_LOW) - f);
}

/** x = 2^exponent (1 + fraction) with √½ < 1 + fraction < √2, for finite x > 0. */
function splitNearOne(x: number): { exponent: number; fraction: number } {
  const isDenormal = x < 2 ** -1022;
  words.setFloat64(0, isDenormal ? x * 2 ** 54 : x);
  const high = words.getUint32(0);
  let exponent = (high >>> 20) - 1023 - (isDenormal ? 54 : 0);
  words.setUint32(0, (high & 0xfffff) | 0x3ff00000);
  let mantissa = words.getFloat64(0);
  if (mantissa > Math.SQRT2) {
    mantissa /= 2;
    exponent++;
  }
  return { exponent, fraction: mantissa - 1 };
}

/** π as the sum of two doubles. */
const PI_LOW = 1.2246467991473532e-16;

/**
 * cos(πx), within one unit in the last place: the reduction to |x| ≤ ¼ is exact, so that cosPi(½) is 0 and cosPi(1)
 * is −1. NaN for x that is not finite.
 */
export function cosPi(x: number): number {
  if (!Number.isFinite(x)) return NaN;
  const turned = Math.abs(x) % 2; // cos has period 2π and is even; % is exact
  const half = turned > 1 ? 2 - turned : turned; // in [0, 1]
  if (half <= 0.25) return cosKernel(timesPi(half));
  if (half < 0.75) return sinKernel(timesPi(0.5 - half));
  return -cosKernel(timesPi(1 - half));
}

interface Sum {
  high: number;
  low: number;
}

/** πx to about 100 bits (T. J. Dekker's exact product, 1971). */
function timesPi(x: number): Sum {
  const high = x * Math.PI;
  const [xHigh, xLow] = halves(x);
  const [piHigh, piLow] = halves(Math.PI);
  const error = xHigh * piHigh - high + xHigh * piLow + xLow * piHigh + xLow * piLow;
  return { high, low: error + x * PI_LOW };
}

/** x as the sum of two numbers of at most 26 bits. */
function halves(x: number): [number, number] {
  const scaled = 134217729 * x; // 2^27 + 1
  const high = scaled - (scaled - x);
  return [high, x - high];
}

/** cos(high + low) for |high| ≤ π/4. */
function cosKernel({ high: x, low: y }: Sum): number {
  const z = x * x;
  const tail =
    z *
    (0.0416666666666666 +
      z *
        (-0.001388888888887411 +
          z *
            (0.00002480158728947673 +
              z * (-2.7557314351390663e-7 + z * (2.087572321298175e-9 - z * 1.1359647557788195e-11)))));
  const halfSquare = 0.5 * z;
  const rounded = 1 - halfSquare;
  return rounded + (1 - rounded - halfSquare + (z * tail - x * y));
}

/** sin(high + low) for |high| ≤ π/4. */
function sinKernel({ high: x, low: y }: Sum): number {
  const z = x * x;
  const cube = z * x;
  const tail =
    0.00833333333332249 +
    z *
      (-0.0001984126982985795 +
        z * (0.0000027557313707070068 + z * (-2.5050760253406863e-8 + z * 1.58969099521155e-10)));
  return x - (z * (0.5 * y - cube * tail) - y + cube * 0.16666666666666632);
}
