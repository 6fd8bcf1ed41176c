/**
 * Faults that the laws must catch. Each replaces a text that its file has exactly once.
 *   first: the suites that see it soonest, where that is not the usual ones
 */

const assembly = (file) => `engine/kernels/wasm/assembly/${file}.ts`;
const matmul = assembly('matmul');
const gather = assembly('gather');
const pack = assembly('pack');
const reduction = assembly('reduction');
const loss = assembly('loss');
const cell = 'engine/cells/elman-cell.ts';
const lane = 'engine/network/lane.ts';
const reduce = 'engine/network/reduce.ts';
const programs = 'engine/network/programs.ts';
const plan = 'engine/parallel/lane-plan.ts';
const barrier = 'engine/parallel/barrier.ts';
const optimizers = 'engine/training/optimizers.ts';

const fault = (name, file, find, replace, first = []) => ({ name, file, find, replace, first });
const laws = ['gradients'];
const training = ['training'];
const threads = ['batch-split'];

export const faults = [
  // Kernels.
  fault(
    'an edge row of dzᵀ x is skipped',
    matmul,
    'min(TILE, m - i), min(LANES, n - j), add)',
    'min(TILE, m - i) - 1, min(LANES, n - j), add)',
  ),
  fault(
    'an edge column of dzᵀ x is skipped',
    matmul,
    'min(TILE, m - i), min(LANES, n - j), add)',
    'min(TILE, m - i), min(LANES, n - j) - 1, add)',
  ),
  fault(
    'a row of a tile is read twice',
    matmul,
    'v128.load_splat<real>(a, 96)',
    'v128.load_splat<real>(a, 64)',
  ),
  fault(
    'the inner sum leaves the last panel out',
    matmul,
    'const end = a + PANEL;\n    do {',
    'const end = a + PANEL;\n    if (p > 0 && p == kPanels - 1) break;\n    do {',
  ),
  fault('the bias of the first panel serves all', matmul, 'bias, PANEL, 0, 0, 0, 0', 'bias, 0, 0, 0, 0, 0'),
  fault('tanh′ is taken from z', matmul, 'const y = v128.load(h);', 'const y = tanhV(v128.load(h));'),
  fault(
    'rows beyond 256 are left out of dzᵀ x',
    matmul,
    'for (let done = 0; done < depth; done += DEPTH)',
    'for (let done = 0; done < min(depth, DEPTH); done += DEPTH)',
  ),
  fault('rows beyond 256 overwrite those before', matmul, '    add = true;\n', ''),
  fault(
    'whole tiles of dzᵀ x overwrite what they should add to',
    matmul,
    'if (add) {',
    'if (add && c == 0) {',
  ),
  fault(
    'every fourth row is left out of the bias gradient',
    gather,
    'low3 = v128.add<real>(low3, v128.load(from));',
    '',
  ),
  fault(
    'what lies behind a row comes along with it',
    gather,
    'v128.store(to, v128.and(v128.load(src), low));',
    'v128.store(to, v128.load(src));',
  ),
  fault(
    'columns of the last panel are not divided',
    gather,
    'sizeof<real>()) / divisor)',
    'sizeof<real>()))',
  ),
  fault('b_hh is left out of the bias', pack, 'j < n && b ? value + load<real>(b + at) : value', 'value'),
  fault(
    'packed weights have ones where they should have zeros',
    pack,
    'to += step) store<real>(to, 0);',
    'to += step) store<real>(to, 1);',
  ),
  fault(
    'a lane is added twice, another not at all',
    reduction,
    'right = v128.add<real>(right, v128.load(p + 3 * stride))',
    'right = v128.add<real>(right, v128.load(p + 2 * stride))',
  ),
  fault('the fourth of four lanes is skipped', reduction, 'if (count > 3) right', 'if (count > 4) right'),
  fault(
    'lanes from the ninth on are skipped',
    reduction,
    'if (count > GROUP) addGroups',
    'if (count < 0) addGroups',
  ),
  fault('gradients overwrite instead of accumulating', reduction, 'if (old) value', 'if (old == 1) value'),
  fault('half of the norm counts other numbers', reduction, 'f64x2.mul(high, high)', 'f64x2.mul(low, low)'),
  fault(
    'softmax without the shift by the largest logit',
    loss,
    'const most = maximum(row, width);',
    'const most: real = 0;',
  ),
  fault('padding takes part in the softmax', loss, 'sizeof<real>(), -Infinity)', 'sizeof<real>(), 0)'),
  fault(
    'the momentum is dropped',
    assembly('optimizers'),
    'const step = nesterov ? v128.add<real>(d, v128.mul<real>(mu, buffer)) : buffer;',
    'const step = d;',
    ['optimizers'],
  ),

  // The cell and the lanes.
  fault(
    'the gradient of b_hh is dropped',
    cell,
    '  k.sumRows(gradients.b_hh, hiddenSize, dz.at, dz.stride, dz.pitch, depth, edge, onto);\n',
    '',
    laws,
  ),
  fault(
    'dW_hh takes h_t for h_{t−1}',
    cell,
    'dz.stride,\n    h.at,\n    h.stride,',
    'dz.stride,\n    h.at + block.rows * h.pitch,\n    h.stride,',
    laws,
  ),
  fault('backward leaves the first step out', cell, 'at >= 0; at -= step', 'at > 0; at -= step', laws),
  fault(
    'the layer below gets no gradient',
    lane,
    'if (l > 0) cellInputGradient',
    'if (l > 9) cellInputGradient',
    laws,
  ),
  fault(
    'padding is read: lengths are ignored',
    lane,
    'if (i < block.count) {\n      length = block.batch.lengths[block.firstRank + i];',
    'if (i < block.count) {\n      length = stepsOf(block);',
    laws,
  ),
  fault(
    'logits come from the longest row’s last step',
    lane,
    'const length = i < block.count ? block.batch.lengths[block.firstRank + i] : 1;',
    'const length = stepsOf(block);',
    laws,
  ),
  fault('h0 is ignored', lane, 'if (!memory) return;', 'if (!memory || g.numLayers > 0) return;', laws),
  fault('dh0 is not divided', lane, 'g.hiddenSize, block.batch.rows)', 'g.hiddenSize, 1)', laws),
  fault('dx is divided', lane, 'length, g.inputSize, 1)', 'length, g.inputSize, block.batch.rows)', laws),
  fault(
    'the label is off by one',
    lane,
    'rowDelta(loss, label, reals,',
    'rowDelta(loss, (label + 1) % g.outputSize, reals,',
    laws,
  ),
  fault(
    'logits come back in the order of lengths',
    lane,
    'memory.logits + block.batch.positions[block.firstRank + i] *',
    'memory.logits + (block.firstRank + i) *',
    laws,
  ),
  fault(
    'garbage behind the last parameter counts in the norm',
    lane,
    'reals.fill(0, first + g.parameterCount, first + g.blockSize);',
    'reals.fill(1, first + g.parameterCount, first + g.blockSize);',
    training,
  ),

  // Reduction, steps, plan.
  fault(
    'the lane’s rows are the divisor',
    reduce,
    'old && old + run.offset, rows, run.bytes',
    'old && old + run.offset, Math.ceil(rows / batch.lanes), run.bytes',
    laws,
  ),
  fault(
    'the last run of parameters is forgotten',
    reduce,
    'Math.ceil(g.blockSize / BLOCK_PARAMETERS)',
    'Math.max(1, Math.floor(g.blockSize / BLOCK_PARAMETERS))',
    laws,
  ),
  fault(
    'the losses of the last lanes are left out',
    reduce,
    'first + left * stride, stride, count - left)',
    'first + left * stride, stride, 1)',
    laws,
  ),
  fault(
    'a lane’s second block overwrites the first',
    programs,
    'inputGradient: call?.inputGradient ?? false,\n    });\n    add = true;',
    'inputGradient: call?.inputGradient ?? false,\n    });\n    add = false;',
    laws,
  ),
  fault(
    'the last and smaller batch is dropped',
    'engine/training/fit.ts',
    'this.#steps = Math.ceil(rows / batchSize);',
    'this.#steps = Math.floor(rows / batchSize);',
    training,
  ),
  fault(
    'training packs the weights of an older step',
    programs,
    '    const tools = thread.tools(place);\n    yield* packWeights(thread, parity, place);',
    '    const tools = thread.tools(place);\n    yield* packWeights(thread, 0, place);',
    training,
  ),
  fault(
    'backward takes the weights that forward packed',
    programs,
    '  yield* packWeights(thread, 0, place);\n  const visit = (lane: number): void => {\n    let add',
    '  yield resetLanes(thread);\n  const visit = (lane: number): void => {\n    let add',
    ['structure'],
  ),
  fault(
    'the parity is flipped before the update',
    programs,
    'const counts = countStep(job.optimizer, readCounts(reals, parity));\n    if (finite) {',
    'const counts = countStep(job.optimizer, readCounts(reals, parity));\n    Atomics.store(words, Word.parity, 1 - parity);\n    if (finite) {',
    ['between-steps'],
  ),
  fault(
    'the parity is not flipped',
    programs,
    'Atomics.store(words, Word.parity, 1 - parity);',
    'Atomics.store(words, Word.parity, parity);',
    training,
  ),
  fault('the norm is not the root', programs, 'return Math.sqrt(sum);', 'return sum;', training),
  fault(
    'the first lane is claimed by nobody',
    programs,
    'Atomics.store(thread.control.words, Word.nextLane, 0);',
    'Atomics.store(thread.control.words, Word.nextLane, 1);',
    laws,
  ),
  fault(
    'lanes are added before all are done',
    programs,
    '    yield null;\n  }\n  yield leader;',
    '    yield null;\n  }\n  leader();',
    threads,
  ),
  fault(
    'the norm is taken before all its parts are there',
    programs,
    '    yield nothing;\n\n    const norm = globalNorm(thread, tools, runs);',
    '    const norm = globalNorm(thread, tools, runs);',
    threads,
  ),
  fault('bias correction is missing in Adam', optimizers, 'rate / (1 - counts.beta1Power)', 'rate', [
    'optimizers',
  ]),
  fault(
    'the second moment goes to the current copy',
    optimizers,
    'const vNew = at(model.second, next);',
    'const vNew = at(model.second, now);',
    ['optimizers'],
  ),
  fault(
    'gradients are scaled up to the norm as well',
    optimizers,
    'Math.min(1, clipNorm',
    'Math.max(0, clipNorm',
    ['optimizers'],
  ),
  fault(
    'rows keep the caller’s order',
    plan,
    'order[first[longest - lengths[row]]++] = row',
    'order[row] = row',
    laws,
  ),
  fault(
    'a block’s memory is too small',
    plan,
    'return Math.min(BLOCK_ROWS, Math.ceil(tiles / lanes) * TILE_ROWS);',
    'return Math.min(TILE_ROWS, Math.ceil(tiles / lanes) * TILE_ROWS);',
    laws,
  ),
  fault(
    'fit leaves the last step in the second copy',
    'engine/training/fit.ts',
    'if (Atomics.load(words, Word.parity) === 1) takeOverStep(network);',
    'if (Atomics.load(words, Word.parity) === 2) takeOverStep(network);',
    training,
  ),

  // Threads.
  fault(
    'the barrier opens before the count is reset',
    barrier,
    '      Atomics.store(words, Word.arrived, 0);\n      Atomics.add(words, Word.round, 1);',
    '      Atomics.add(words, Word.round, 1);\n      Atomics.store(words, Word.arrived, 0);',
    ['barrier'],
  ),
  fault('the barrier opens one thread early', barrier, '+ 1 === this.#parties', '+ 1 >= this.#parties - 1', [
    'barrier',
  ]),
  fault(
    'the leader runs when the others are on their way',
    barrier,
    '      leader();\n      Atomics.store(words, Word.arrived, 0);\n      Atomics.add(words, Word.round, 1);',
    '      Atomics.store(words, Word.arrived, 0);\n      Atomics.add(words, Word.round, 1);\n      leader();',
    ['barrier'],
  ),
  fault(
    'a sleeping thread does not look whether the call was given up',
    barrier,
    'if (Atomics.load(words, Word.abort)) return;',
    'if (Atomics.load(words, Word.abort) > 1) return;',
    ['barrier'],
  ),
  fault(
    'a call given up ends as if it had been done',
    barrier,
    "if (Atomics.load(words, Word.abort)) throw new Aborted('the call was given up');",
    "if (Atomics.load(words, Word.abort) > 1) throw new Aborted('the call was given up');",
    ['barrier'],
  ),
  fault(
    'a thread lost between two calls is left to piscina',
    'engine/parallel/team.ts',
    'if (this.#lost) await',
    'if (this.#lost && parties < 0) await',
    ['pool'],
  ),
  fault(
    'close leaves the threads behind',
    'engine/parallel/team.ts',
    '    await pool?.destroy();\n  }\n}',
    '    void pool;\n  }\n}',
    ['pool'],
  ),
];
