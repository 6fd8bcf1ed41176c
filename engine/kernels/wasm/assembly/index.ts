// The kernels' exports: raw pointers in, nothing allocated, no static data (see layout.ts).
export { gatherRows, zeroRows, copyRow, addRows, normalizeRows, scatterRows, sumRows } from './gather';
export {
  project, multiply, accumulate, outerProduct, bareTile,
  tanhForward, tanhStep, tanhStepBackward, tanhBackward,
  reluForward, reluStep, reluStepBackward, reluBackward,
} from './matmul';
export { packTransposed, packPlain, packBias, repeatRow } from './pack';
export { softmaxRow } from './loss';
export { reduceLanes, squaredNorm } from './reduction';
export { sgd, adam, rmsprop } from './optimizers';
export { projectRow, accumulateRow, tanhStepRow, reluStepRow } from './row';
export { dropRows } from './dropout';
export { tanhArray } from './tanh';
export { expArray } from './exp';
