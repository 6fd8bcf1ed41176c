import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { type Report, renderReport, writeReport } from './report.ts';

const report: Report = {
  title: 'Vowels <of> few',
  summary: [['Test accuracy', '75.0 %']],
  history: [
    { epoch: 1, loss: 1.2, accuracy: 0.5, validationAccuracy: 0.4 },
    { epoch: 2, loss: 0.6, accuracy: 0.8, validationAccuracy: 0.7 },
  ],
  classes: ['ɑː', 'ʒ'],
  confusion: [
    [3, 1],
    [0, 0],
  ],
  perClass: [{ name: 'ɑː', accuracy: 0.75, count: 4 }],
  perVoice: [{ name: 'Mr serious', accuracy: 0.75, count: 4 }],
};

it('holds both pictures, the table and the groups', () => {
  const html = renderReport(report);
  expect(html.match(/<svg/g)).toHaveLength(2);
  for (const text of ['epoch', 'cross-entropy (nats)', 'heard as', 'said', 'ʒ', 'Mr serious', '75.0 %']) {
    expect(html).toContain(text);
  }
});

it('needs no other file, no network and no script', () => {
  const html = renderReport(report);
  expect(html).not.toMatch(/https?:|<script|<link|src=|@import|NaN/);
});

it('escapes text', () => {
  expect(renderReport(report)).toContain('<h1>Vowels &lt;of&gt; few</h1>');
});

it('refuses a confusion matrix that does not fit the classes', () => {
  expect(() => renderReport({ ...report, confusion: [[1]] })).toThrow('must be 2 × 2');
});

it('makes the directory it writes to', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'elman-report-'));
  try {
    const path = join(directory, 'runs', 'report.html');
    await writeReport(path, report);
    expect(await readFile(path, 'utf8')).toContain('</html>');
  } finally {
    await rm(directory, { recursive: true });
  }
});
