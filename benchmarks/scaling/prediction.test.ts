import { describe, expect, it } from 'vitest';
import {
  barrierLine,
  type MachineCosts,
  makespan,
  predictStep,
  type StepCosts,
  wholeShare,
} from './prediction.ts';

const costs: StepCosts = {
  lanes: new Array<number>(8).fill(1),
  laneBytes: 0,
  serial: 0.1,
  reduce: 0.4,
  reduceBytes: 0,
  update: 0.2,
  updateBytes: 0,
  runs: 4,
  pieces: 8,
};
const machine = (cores: number, bandwidth = Number.POSITIVE_INFINITY): MachineCosts => ({
  cores,
  crowding: 1,
  bandwidth,
  barrier: () => 0.01,
});

describe('makespan', () => {
  it('gives each free thread the next piece', () => {
    // Thread 1: 3; thread 2: 1 + 1 + 1; then 2 goes to whoever is free at 3.
    expect(makespan([3, 1, 1, 1, 2], 2)).toBe(5);
    expect(makespan([1, 1, 1], 2)).toBe(2);
    expect(makespan([1, 2, 3], 1)).toBe(6);
    expect(makespan([1, 2, 3], 64)).toBe(3);
    expect(makespan([], 4)).toBe(0);
  });
});

describe('scaling model', () => {
  it('adds the parts up on one thread', () => {
    // 8 + 0.4 + 0.2 + 0.1 + 3 · 0.01
    expect(predictStep(costs, machine(1), 1).step).toBeCloseTo(8.73, 12);
  });

  it('divides lanes, reduction and update, but neither barriers nor what all do', () => {
    // 8/4 + 0.4/4 + 0.2/4 + 0.1 + 0.03
    expect(predictStep(costs, machine(64), 4).step).toBeCloseTo(2 + 0.1 + 0.05 + 0.1 + 0.03, 12);
  });

  it('gains nothing on lanes from more threads than lanes', () => {
    const at = (threads: number) => predictStep(costs, machine(64), threads).lanes;
    expect([at(8), at(64)]).toEqual([1, 1]);
  });

  it('computes no faster where threads share cores', () => {
    expect(predictStep(costs, machine(2), 4).lanes).toBe(predictStep(costs, machine(2), 2).lanes);
  });

  it('takes longer where busy cores slow each other down, but not alone', () => {
    const crowded = { ...machine(2), crowding: 1.1 };
    expect(predictStep(costs, crowded, 2).lanes).toBeCloseTo(4.4, 12);
    expect(predictStep(costs, crowded, 1)).toEqual(predictStep(costs, machine(2), 1));
  });

  it('never moves more bytes than all cores together can', () => {
    const heavy = { ...costs, reduceBytes: 30, laneBytes: 100 };
    const prediction = predictStep(heavy, machine(64, 100), 64);
    expect(prediction.reduce).toBe(0.3);
    expect(prediction.lanes).toBe(8);
  });

  it('shares whole runs and pieces out', () => {
    const at = (threads: number) => predictStep(costs, machine(64), threads);
    expect([at(64).reduce, at(64).update]).toEqual([0.4 / 4, 0.2 / 8]);
    expect([wholeShare(4, 1), wholeShare(4, 3), wholeShare(4, 64)]).toEqual([1, 0.5, 0.25]);
  });

  it('draws a line through the barriers measured', () => {
    const barrier = barrierLine([
      [1, 1e-7],
      [2, 5e-7],
    ]);
    expect(barrier(4)).toBeCloseTo(1.3e-6, 12);
    expect(barrier(0)).toBe(1e-7);
    expect(barrierLine([[1, 2e-7]])(64)).toBe(2e-7);
  });
});
