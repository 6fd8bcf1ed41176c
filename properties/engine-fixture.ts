/** Holding the engine against one case that PyTorch computed. */
import type { Batch, NetworkShape } from './arbitraries.ts';
import { gradientBounds } from './bounds.ts';
import type { Dtype } from './compare.ts';
import { unitRoundoff } from './compare.ts';
import { expectResults, inShapeOfLogits, named, runLoss, withModel } from './engine-model.ts';
import type { ClassifierFixture } from './fixtures.ts';
import type { Network } from './reference.ts';
import { gradientsOf, hiddenOf, layersOf } from './reference.ts';

export function shapeOf(network: Network): NetworkShape {
  const [first] = network.rnn;
  return {
    inputSize: first.W_ih[0].length,
    hiddenSize: hiddenOf(network),
    outputSize: network.output.b.length,
    numLayers: layersOf(network),
  };
}

/** The model takes PyTorch's weights by PyTorch's names and gives PyTorch's numbers, within rounding. */
export async function expectFixture(
  fixture: ClassifierFixture,
  dtype: Dtype,
  threads: number,
): Promise<void> {
  const { point, labels, givesH0, step } = fixture;
  const isRagged = point.x.some((sample) => sample.length !== point.x[0].length);
  const batch: Batch = {
    x: point.x,
    labels,
    h0: givesH0 ? point.h0 : undefined,
    delta: [],
    form: isRagged ? 'padded' : 'dense',
    features: point.network.features,
    step: point.network.dropout.p > 0 ? step : undefined,
  };
  const settings = { shape: shapeOf(point.network), dtype, network: point.network };
  const bounds = gradientBounds(point, gradientsOf(point, labels, step), labels, unitRoundoff(dtype));
  await withModel(
    settings,
    async (model) => {
      model.loadStateDict(fixture.weights);
      expectResults(await runLoss(model, batch), {
        loss: fixture.loss,
        lossBound: bounds.loss,
        logits: inShapeOfLogits(fixture.logits, batch),
        logitBounds: inShapeOfLogits(bounds.logits, batch),
        gradients: named(fixture.gradients, batch),
        gradientBounds: named(bounds, batch),
      });
    },
    threads,
  );
}
