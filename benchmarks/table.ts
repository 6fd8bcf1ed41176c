/** A Markdown table, padded so that it can be read as plain text too. First column left, the others right. */
export function markdownTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, i) =>
    Math.max(3, title.length, ...rows.map((row) => (row[i] ?? '').length)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, i) => pad(cell, i, widths[i] ?? 0)).join(' | ')} |`;
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`));
  return [line(header), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

/** Rows one after the other, each told on stderr as soon as it is there: a whole table takes minutes. */
export async function rowByRow<Item>(
  items: readonly Item[],
  rowOf: (item: Item) => Promise<string[]>,
): Promise<string[][]> {
  const rows: string[][] = [];
  for (const item of items) {
    const row = await rowOf(item);
    console.error(row.join('  '));
    rows.push(row);
  }
  return rows;
}

const pad = (cell: string, column: number, width: number): string =>
  column === 0 ? cell.padEnd(width) : cell.padStart(width);

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
