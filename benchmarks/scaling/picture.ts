import { axisTitle, colours, muted, renderSvg } from '../../cli/common/page.ts';

type Point = readonly [threads: number, speedUp: number];

/** A size's speed-ups by thread count. */
export interface Curve {
  readonly name: string;
  readonly predicted: readonly Point[];
  readonly measured: readonly Point[];
}

/** Dashed lines for predictions, dots for measurements, on axes where twice as fast on twice the threads is a diagonal. */
export function renderCurves(curves: readonly Curve[]): string {
  const axis = { type: 'log', logBase: 2, min: 1, max: 64 };
  const ideal = {
    type: 'line',
    name: 'ideal',
    symbol: 'none',
    color: '#cbd5e1',
    data: [
      [1, 1],
      [64, 64],
    ],
  };
  const lines = curves.map(({ name, predicted }, i) => ({
    type: 'line',
    name,
    data: predicted,
    color: colours[i],
    symbol: 'emptyCircle',
    symbolSize: 5,
    lineStyle: { type: 'dashed' },
  }));
  const dots = curves.map(({ name, measured }, i) => ({
    type: 'scatter',
    name: `${name}, measured`,
    data: measured,
    color: colours[i],
    symbolSize: 11,
  }));
  return renderSvg(760, 480, {
    title: {
      text: 'Dashed: predicted. Dots: measured. B, T, I, H, L =',
      left: 8,
      top: 8,
      textStyle: { fontSize: 13, fontWeight: 'normal', color: muted },
    },
    legend: { left: 0, top: 30, itemGap: 24, data: [...lines, ideal].map(({ name }) => name) },
    grid: { left: 60, right: 30, top: 75, bottom: 55 },
    xAxis: { ...axis, ...axisTitle('threads, a core each', 32) },
    yAxis: { ...axis, ...axisTitle('times as fast as one thread', 36) },
    series: [ideal, ...lines, ...dots],
  });
}
