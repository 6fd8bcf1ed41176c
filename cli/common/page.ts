import { type EChartsCoreOption, init } from 'echarts';

/** What the pages with charts have in common. */

/** Without double quotes: it stands inside attributes. */
const fontFamily = "system-ui, 'Noto Sans', 'DejaVu Sans', 'Segoe UI', sans-serif";
export const ink = '#1f2933';
export const muted = '#64748b';
export const colours = [
  '#2563eb',
  '#0f766e',
  '#b45309',
  '#7c3aed',
  '#be123c',
  '#4d7c0f',
  '#0e7490',
  '#475569',
];

/** An HTML page that needs no other file, in the style that all pages have, and what `style` adds to it. */
export const page = (title: string, style: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>
  body { margin: 2rem auto; padding: 0 1.5rem; background: #fff; color: ${ink}; font: 15px/1.5 ${fontFamily}; }
  h2 { font-size: 1.15rem; margin: 2.5rem 0 .25rem; }
  p { color: ${muted}; }
  figure { margin: 0; overflow-x: auto; }
${style}
</style>
</head>
<body>
${body}
</body>
</html>
`;

/** A chart as an SVG file. */
export function renderSvg(width: number, height: number, option: EChartsCoreOption): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption({ animation: false, textStyle: { fontFamily, color: ink }, ...option });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

/**
 * Like `renderSvg`, for a place inside HTML, where no namespaces are needed: without them it contains
 * no address at all.
 */
export const renderInlineSvg = (width: number, height: number, option: EChartsCoreOption): string =>
  renderSvg(width, height, option).replace(/ xmlns(:xlink)?="[^"]*"/g, '');

/** An axis's name along its middle. */
export const axisTitle = (name: string, nameGap: number) => ({
  name,
  nameGap,
  nameLocation: 'middle',
  nameTextStyle: { color: muted, fontSize: 13 },
  axisLine: { show: true, lineStyle: { color: muted } },
});

/** Text as it may stand in HTML, inside attributes too. */
export const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
