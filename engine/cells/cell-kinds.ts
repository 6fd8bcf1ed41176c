import type { CellKind } from './cell.ts';
import { elmanCell } from './elman-cell.ts';

/** A kind's name, by which threads are told of it: functions do not travel. */
export type CellName = 'elman';

export const cellKinds: Readonly<Record<CellName, CellKind>> = { elman: elmanCell };
