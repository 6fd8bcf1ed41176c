import { threadsText } from '../../cli/common/format.ts';
import { axisTitle, colours, escapeHtml, ink, muted, page, renderInlineSvg } from '../../cli/common/page.ts';
import { machineLine } from './machine.ts';
import type { Measurement, RunResults } from './results.ts';

const STYLE = `  body { max-width: 1000px; }
  h2 { margin-bottom: .5rem; }`;

/** A page with one chart a suite: work a second by size, a bar for each thread count. No script, no links. */
export function renderResults(results: RunResults): string {
  const suites = [...new Set(results.measurements.map(({ suite }) => suite))];
  const sections = suites.map((suite) => {
    const own = results.measurements.filter((measurement) => measurement.suite === suite);
    return `<h2>${escapeHtml(suite)}</h2>\n<figure>${barChart(own)}</figure>`;
  });
  const body = `<h1>Benchmarks</h1>
<p>${escapeHtml(machineLine(results.machine))}</p>
<p>Above each bar: the share of what the cores it uses could do at most, by the limit measured beside its size.
0 threads: the calling thread.</p>
${sections.join('\n')}`;
  return page(`Benchmarks of ${results.machine.commit}`, STYLE, body);
}

function barChart(measurements: readonly Measurement[]): string {
  const names = [...new Set(measurements.map(({ name }) => name))];
  const threads = [...new Set(measurements.map((measurement) => measurement.threads))];
  const find = (name: string, count: number) =>
    measurements.find((measurement) => measurement.name === name && measurement.threads === count);
  const series = threads.map((count, i) => ({
    type: 'bar',
    name: threadsText(count),
    color: colours[i % colours.length],
    data: names.map((name) => {
      const measurement = find(name, count);
      const share = measurement?.share;
      return {
        value: Number((measurement?.gflops ?? 0).toFixed(2)),
        label: {
          show: share !== undefined,
          position: 'top',
          fontSize: 11,
          color: muted,
          formatter: `${Math.round(100 * (share ?? 0))}%`,
        },
      };
    }),
  }));
  return renderInlineSvg(960, 340, {
    legend: { top: 0, itemGap: 24 },
    grid: { left: 60, right: 20, top: 45, bottom: 50 },
    xAxis: {
      type: 'category',
      data: names,
      ...axisTitle('B,T,I,H,L', 32),
      axisLabel: { color: ink, interval: 0 },
    },
    yAxis: { type: 'value', ...axisTitle('GFLOP/s', 40) },
    series,
  });
}
