import { networkOf } from '../../engine/network/registry.ts';
import { nameOf, parseSize, seededData } from '../common/sizes.ts';
import { createModel } from '../common/steps.ts';
import { withOpen } from '../common/with-open.ts';

/**
 * A process of its own for one size: prints what it holds before there is a model, what it holds after a short
 * training, and what was planned, in bytes, as JSON. Arguments: the size, the threads.
 */
const size = parseSize(process.argv[2] ?? '');
const threads = Number(process.argv[3]);
const STEPS = 4;
const data = seededData(size, { rows: size.B * STEPS });
const before = process.memoryUsage().rss;
const result = await withOpen([createModel(size, threads)], async (model) => {
  await model.fit(data, { batchSize: size.B, epochs: 3 });
  return { after: process.memoryUsage().rss, planned: networkOf(model).thread.buffer.byteLength };
});
console.log(JSON.stringify({ size: nameOf(size), threads, before, ...result }));
