import { describe, expect, it } from 'vitest';
import type { Dtype } from './compare.ts';
import { expectFixture } from './engine-fixture.ts';
import { classifierFixtures } from './fixtures.ts';

const dtypes: Dtype[] = ['float64', 'float32'];

describe.each(dtypes)('PyTorch in %s', (dtype) => {
  it.each(classifierFixtures())('gives the same loss, logits and gradients: $name', async (fixture) => {
    await expectFixture(fixture, dtype, 0);
  });

  it('gives the same on two threads', async () => {
    const fixture = classifierFixtures().find(({ name }) => name.startsWith('B=33'));
    expect(fixture).toBeDefined();
    if (fixture !== undefined) await expectFixture(fixture, dtype, 2);
  });
});
