/** Holding the engine against one case that PyTorch computed. */
import type { Batch, NetworkShape } from './arbitraries.ts';
import { gradientBounds } from './bounds.ts';
import type { Dtype } from './compare.ts';
import { unitRoundoff } from './compare.ts';
import type { Model } from './engine-model.ts';
import { expectResults, inShapeOfLogits, named, runLoss, withModel } from './engine-model.ts';
import type { ClassifierFixture } from './fixtures.ts';
import type { Network } from './reference.ts';
import { gradientsOf, hiddenOf, layersOf } from './reference.ts';

function shapeOf(network: Network): NetworkShape {
  const [first] = network.rnn;
  return {
    inputSize: first.W_ih[0].length,
    hiddenSize: hiddenOf(network),
    outputSize: network.output.b.length,
    numLayers: layersOf(network),
  };
}

function batchOf({ point, labels, givesH0, step }: ClassifierFixture): Batch {
  const isRagged = point.x.some((sample) => sample.length !== point.x[0].length);
  return {
    x: point.x,
    labels,
    h0: givesH0 ? point.h0 : undefined,
    delta: [],
    form: isRagged ? 'padded' : 'dense',
    features: point.network.features,
    step: point.network.dropout.p > 0 ? step : undefined,
  };
}

/** The model, which has PyTorch's weights, gives PyTorch's numbers, within rounding. */
export async function expectPyTorchs(model: Model, fixture: ClassifierFixture): Promise<void> {
  const { point, labels, step } = fixture;
  const batch = batchOf(fixture);
  const bounds = gradientBounds(point, gradientsOf(point, labels, step), labels, unitRoundoff(model.dtype));
  expectResults(await runLoss(model, batch), {
    loss: fixture.loss,
    lossBound: bounds.loss,
    logits: inShapeOfLogits(fixture.logits, batch),
    logitBounds: inShapeOfLogits(bounds.logits, batch),
    gradients: named(fixture.gradients, batch),
    gradientBounds: named(bounds, batch),
  });
}

/** A model that takes PyTorch's weights by PyTorch's names. */
export async function expectFixture(
  fixture: ClassifierFixture,
  dtype: Dtype,
  threads: number,
): Promise<void> {
  const { network } = fixture.point;
  const use = async (model: Model) => {
    model.loadStateDict(fixture.weights);
    await expectPyTorchs(model, fixture);
  };
  await withModel({ shape: shapeOf(network), dtype, network }, use, threads);
}
