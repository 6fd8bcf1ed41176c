import type { Network } from './network.ts';

/** The network behind each open model, for tests: no part of what the model itself shows. */
export const networks = new WeakMap<object, Network>();

export const networkOf = (model: object): Network | undefined => networks.get(model);
