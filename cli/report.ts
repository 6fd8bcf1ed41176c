import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { percent } from './common/format.ts';
import { axisTitle, colours, escapeHtml, ink, muted, page, renderInlineSvg } from './common/page.ts';
import type { GroupResult } from './score.ts';

/** What was measured after an epoch. Accuracies are fractions. */
export interface EpochRecord {
  epoch: number;
  loss: number;
  accuracy: number;
  validationAccuracy: number;
}

export interface Report {
  title: string;
  /** Label and value, the most important first. */
  summary: [string, string][];
  history: EpochRecord[];
  classes: string[];
  /** Counts [true class, predicted class]. */
  confusion: number[][];
  perClass: GroupResult[];
  perVoice: GroupResult[];
}

const grid = '#e2e8f0';
const [trainColour, validationColour, lossColour] = colours;

const STYLE = `  body { max-width: 1120px; }
  h1 { font-size: 1.7rem; margin: 0 0 1rem; }
  p { margin: 0 0 .75rem; max-width: 46rem; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { text-align: left; padding: .25rem 1.25rem .25rem 0; border-bottom: 1px solid ${grid};
    font-weight: normal; }
  .summary th { color: ${muted}; }
  .summary tr:first-child td { font-weight: 600; }
  .groups { columns: 4 11rem; column-gap: 2rem; }
  .groups div { display: grid; grid-template-columns: 1fr 3.6rem 3.2rem; break-inside: avoid;
    border-bottom: 1px solid ${grid}; padding: .1rem 0; font-variant-numeric: tabular-nums; }
  .groups span + span { text-align: right; }
  .groups span:last-child { color: ${muted}; }
  figure svg { max-width: max(100%, 46rem); height: auto; }`;

/**
 * Writes one HTML file that a browser shows without anything else: no script, no link to another file.
 *
 * @param path - where to; its directory is made if need be
 * @throws RangeError if the confusion matrix does not fit the classes; Error if the file cannot be written
 */
export async function writeReport(path: string, report: Report): Promise<void> {
  const html = renderReport(report);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, html);
}

/** The HTML of `writeReport`. */
export function renderReport(report: Report): string {
  const { title, summary, history, classes, confusion, perClass, perVoice } = report;
  if (confusion.length !== classes.length || confusion.some((row) => row.length !== classes.length)) {
    throw new RangeError(`The confusion matrix must be ${classes.length} × ${classes.length}.`);
  }
  const body = `<h1>${escapeHtml(title)}</h1>
<table class="summary">
${summary.map(([label, value]) => `<tr><th scope="row">${escapeHtml(label)}</th><td>${escapeHtml(value)}</td></tr>`).join('\n')}
</table>
<h2>Learning curve</h2>
<p>Mean cross-entropy of the training segments, and the share of segments recognized, after each epoch.</p>
<figure>${learningCurve(history)}</figure>
<h2>Confusion matrix of the test</h2>
<p>Each row is what was said, each column what the network heard; a row adds up to 100 %. The diagonal is
right; what glows beside it is mistaken.</p>
<figure>${confusionMatrix(classes, confusion)}</figure>
<h2>Accuracy by class</h2>
<p>Worst first: class, share of its test segments recognized, their number.</p>
${groupTable(perClass)}
<h2>Accuracy by held-out voice</h2>
<p>Worst first: voice, share of its segments recognized, their number.</p>
${groupTable(perVoice)}`;
  return page(title, STYLE, body);
}

function learningCurve(history: EpochRecord[]): string {
  const inPercent = (fraction: number) => Number((100 * fraction).toFixed(2));
  const line = { type: 'line', symbolSize: 5, lineStyle: { width: 2 } };
  return renderInlineSvg(1060, 380, {
    legend: { top: 0, itemGap: 30, data: ['training loss', 'training accuracy', 'validation accuracy'] },
    grid: { left: 70, right: 70, top: 45, bottom: 50 },
    xAxis: {
      type: 'category',
      data: history.map(({ epoch }) => String(epoch)),
      ...axisTitle('epoch', 30),
      axisTick: { alignWithLabel: true },
    },
    yAxis: [
      { type: 'value', min: 0, ...axisTitle('cross-entropy (nats)', 45), splitLine: { show: false } },
      {
        type: 'value',
        min: 0,
        max: 100,
        ...axisTitle('accuracy (%)', 45),
        splitLine: { lineStyle: { color: grid } },
      },
    ],
    series: [
      { ...line, name: 'training loss', data: history.map(({ loss }) => loss), color: lossColour },
      {
        ...line,
        name: 'training accuracy',
        yAxisIndex: 1,
        data: history.map(({ accuracy }) => inPercent(accuracy)),
        color: trainColour,
      },
      {
        ...line,
        name: 'validation accuracy',
        yAxisIndex: 1,
        data: history.map(({ validationAccuracy }) => inPercent(validationAccuracy)),
        color: validationColour,
      },
    ],
  });
}

/** The z-index of axes: the cells of a heat map are drawn at 2, and would cover them. */
const ABOVE_CELLS = 3;

function confusionMatrix(classes: string[], confusion: number[][]): string {
  const size = Math.max(520, 21 * classes.length + 170);
  const labels = { interval: 0, color: ink, fontSize: 13 };
  const cells = confusion.flatMap((row, truth) => {
    const total = row.reduce((sum, count) => sum + count, 0);
    return row.flatMap((count, predicted) =>
      count === 0 ? [] : [[predicted, truth, Number(((100 * count) / total).toFixed(1))]],
    );
  });
  return renderInlineSvg(size, size - 40, {
    grid: { left: 80, right: 90, top: 20, bottom: 70 },
    xAxis: {
      type: 'category',
      data: classes,
      ...axisTitle('heard as', 40),
      z: ABOVE_CELLS,
      axisLabel: labels,
      splitLine: { show: true, lineStyle: { color: '#f1f5f9' } },
    },
    yAxis: {
      type: 'category',
      data: classes,
      inverse: true,
      ...axisTitle('said', 55),
      z: ABOVE_CELLS,
      axisLabel: labels,
      splitLine: { show: true, lineStyle: { color: '#f1f5f9' } },
    },
    // Mistakes are a few percent of a row: steps that widen make them visible beside the diagonal.
    visualMap: {
      type: 'piecewise',
      right: 0,
      top: 'middle',
      itemGap: 4,
      pieces: [
        { min: 90, label: '≥ 90 %', color: '#0b3c6f' },
        { min: 70, lt: 90, label: '70–90 %', color: '#1d6fb8' },
        { min: 40, lt: 70, label: '40–70 %', color: '#5ba3dc' },
        { min: 20, lt: 40, label: '20–40 %', color: '#f08a3c' },
        { min: 10, lt: 20, label: '10–20 %', color: '#f6b26b' },
        { min: 3, lt: 10, label: '3–10 %', color: '#fbd9ae' },
        { gt: 0, lt: 3, label: '< 3 %', color: '#e9e0cb' },
      ],
    },
    series: [{ type: 'heatmap', data: cells }],
  });
}

function groupTable(groups: GroupResult[]): string {
  const rows = groups
    .toSorted((a, b) => a.accuracy - b.accuracy)
    .map(
      ({ name, accuracy, count }) =>
        `<div><span>${escapeHtml(name)}</span><span>${percent(accuracy)}</span><span>${count}</span></div>`,
    );
  return `<div class="groups">\n${rows.join('\n')}\n</div>`;
}
