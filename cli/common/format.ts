/** Numbers as they stand in tables and lines. */

/** Three significant digits, without an exponent. */
export const digits = (value: number): string =>
  Number.isFinite(value)
    ? Number(value.toPrecision(3)).toLocaleString('en', { maximumFractionDigits: 6 })
    : '–';

export const percent = (fraction: number): string => `${(100 * fraction).toFixed(1)} %`;

export function duration(seconds: number): string {
  if (seconds < 1e-3) return `${digits(1e6 * seconds)} µs`;
  return seconds < 1 ? `${digits(1e3 * seconds)} ms` : `${digits(seconds)} s`;
}

export const threadsText = (count: number): string => `${count} thread${count === 1 ? '' : 's'}`;
