// The kernels' public face: raw pointers in, nothing allocated, no static data (see layout.ts).
export { gatherRows, zeroRows, copyRow, scatterRows, sumRows } from './gather';
export { project, multiply, tanhStep, tanhStepBackward, tanhBackward, outerProduct, bareTile } from './matmul';
export { packTransposed, packPlain, packBias, repeatRow } from './pack';
export { softmaxRow } from './loss';
export { addLanes, average, squaredNorm } from './reduction';
export { sgd, adam, rmsprop } from './optimizers';
export { projectRow, tanhStepRow } from './row';
export { tanhArray, expArray } from './elementary';
