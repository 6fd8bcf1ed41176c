import { quantile } from '../../cli/common/quantile.ts';

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

/** A sample's quartiles. */
export const quartiles = (sample: readonly number[], format: (value: number) => string): string =>
  [0.25, 0.75].map((fraction) => format(quantile(sample, fraction))).join(' – ');

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
