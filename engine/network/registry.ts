import type { Network } from './network.ts';

/** The network behind each open model, for tests: no part of what the model itself shows. */
export const networks = new WeakMap<object, Network>();

export function networkOf(model: object): Network {
  const network = networks.get(model);
  if (!network) throw new Error('This model is closed.');
  return network;
}
