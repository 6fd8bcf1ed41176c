import type { CellKind } from './cell.ts';
import { elmanCell } from './elman-cell.ts';

/** The name by which a kind is sent to threads: functions cannot be. */
export type CellName = 'elman';

export const cellKinds: Readonly<Record<CellName, CellKind>> = { elman: elmanCell };
