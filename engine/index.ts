/** The public surface of elman, and nothing else. */
export type { ClassifierOptions, LoadOptions } from './classifier/classifier-options.ts';
export type { LabelledSequences } from './data/labelled-sequences.ts';
export { measureNormalization, type Normalization, type NormalizationSpec } from './data/normalization.ts';
export type { LabelsLike } from './data/read-labels.ts';
export type { SequencesLike } from './data/read-sequences.ts';
export { ElmanError, type ErrorCode } from './errors.ts';
export type { Nonlinearity } from './kernels/kernels.ts';
export type { KernelMaker } from './kernels/makers.ts';
export { type LayerOptions, Linear } from './linear.ts';
export type { RecurrentInit } from './network/initialize.ts';
export type { LossOptions } from './network/lanes/loss.ts';
export type { OutputMode } from './network/memory/geometry.ts';
export type { Evaluation, GradientResult, RequestedGradients } from './network/results.ts';
export type { Dtype, RealArray } from './numeric/reals.ts';
export type { Adam, OptimizerOptions, OptimizerType, RmsProp, Sgd } from './optimization/optimizers.ts';
export type {
  ConstantSchedule,
  CosineSchedule,
  PlateauSchedule,
  Schedule,
  StepSchedule,
} from './optimization/schedules.ts';
export { tensor } from './read-tensor.ts';
export { type CellOptions, type CellWeights, RNNCell } from './rnn-cell.ts';
export { type GradientOptions, RNNPhonemeClassifier, type SaveOptions } from './rnn-classifier.ts';
export type { ClassifierStream } from './stream.ts';
export { type NestedNumbers, type ShapedData, Tensor, type TensorLike } from './tensor.ts';
export type { CheckpointOptions } from './training/checkpoint-options.ts';
export type { EarlyStopping } from './training/early-stopping.ts';
export type { Callbacks, EpochLog, FitOptions, Progress, StepsLog } from './training/fit-options.ts';
export type { Optimizer } from './training/optimizer.ts';
export type { TrainingEvent } from './training/training-events.ts';
