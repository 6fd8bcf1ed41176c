/**
 * Faults that the laws must catch. Each replaces a text that its file contains exactly once.
 *   first: the suites that see it soonest, if other than usual
 */

const assembly = (file) => `engine/kernels/wasm/assembly/${file}.ts`;
const matmul = assembly('matmul');
const gather = assembly('gather');
const pack = assembly('pack');
const reduction = assembly('reduction');
const loss = assembly('loss');
const cell = 'engine/cells/elman-cell.ts';
const dropout = 'engine/network/lanes/dropout.ts';
const laneForward = 'engine/network/lanes/lane-forward.ts';
const laneBackward = 'engine/network/lanes/lane-backward.ts';
const sharedProducts = 'engine/parallel/shared-products.ts';
const laneLoss = 'engine/network/lanes/lane-loss.ts';
const lanePrograms = 'engine/network/programs/lane-programs.ts';
const calls = 'engine/network/programs/call-programs.ts';
const epoch = 'engine/network/programs/epoch-program.ts';
const update = 'engine/network/programs/update-program.ts';
const reduce = 'engine/network/programs/reduce.ts';
const plan = 'engine/network/memory/lane-plan.ts';
const sortedBatch = 'engine/network/memory/sorted-batch.ts';
const barrier = 'engine/parallel/barrier.ts';
const optimizers = 'engine/optimization/optimizers.ts';
const updateRun = 'engine/network/programs/update-run.ts';

const fault = (name, file, find, replace, first = []) => ({ name, file, find, replace, first });
const laws = ['gradients'];
const training = ['training'];
const threads = ['batch-split'];

export const faults = [
  // Kernels.
  fault(
    'an edge row of dzᵀ x is skipped',
    matmul,
    'edge, rows, min(COLUMNS, left), add)',
    'edge, rows - 1, min(COLUMNS, left), add)',
  ),
  fault(
    'an edge column of dzᵀ x is skipped',
    matmul,
    'edge, rows, min(COLUMNS, left), add)',
    'edge, rows, min(COLUMNS, left) - 1, add)',
  ),
  fault(
    'panels past the first sixteen of dzᵀ x are skipped',
    matmul,
    'block < n; block += PANELS',
    'block < min(n, PANELS * COLUMNS); block += PANELS',
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
    'last = b + <usize>kPanels * COLUMNS * PANEL',
    'last = b + <usize>max(kPanels - 1, 1) * COLUMNS * PANEL',
  ),
  fault(
    'a round of a loop that is written out is lost',
    'scripts/unroll.mjs',
    'constants[count] ?? Number(count)',
    '(constants[count] ?? Number(count)) - 1',
  ),
  fault(
    'an interleaved loop computes its first round again and again',
    'scripts/unroll.mjs',
    '.replace(number, i)',
    '.replace(number, 0)',
  ),
  fault('rows beyond the first sixteen are not multiplied', matmul, 'left -= min(left, block)', 'left = 0'),
  fault('the bias of the first panel serves all', matmul, 'bias, PANEL, 0, 0, 0, 0', 'bias, 0, 0, 0, 0, 0'),
  fault('a coefficient of tanh ends too soon', assembly('tanh'), '0.1333333333278375', '0.1333333'),
  fault('tanh′ is taken from z', matmul, 'v128.mul<real>(h, h)', 'v128.mul<real>(d, h)'),
  fault(
    'rows beyond 512 are left out of dzᵀ x',
    matmul,
    'for (let done = 0; done < depth; done += DEPTH)',
    'for (let done = 0; done < min(depth, DEPTH); done += DEPTH)',
  ),
  fault(
    'rows past the first sixteen of a tile are left out of dzᵀ x',
    matmul,
    'const last = a + <usize>depth * PANEL;',
    'const last = a + <usize>min(depth, 16) * PANEL;',
  ),
  fault('rows beyond 512 overwrite those before', matmul, '    add = true;\n', ''),
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
    'finiteOrNaN(v128.and(v128.load(src), low))',
    'finiteOrNaN(v128.load(src))',
  ),
  fault(
    'an infinity is gathered as it is',
    gather,
    'return v128.sub<real>(x, v128.sub<real>(x, x));',
    'return x;',
    ['structure'],
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
    'a square of Wᵀ has a row twice',
    pack,
    'v128.shuffle<i64>(left01, left23, 1, 3)',
    'v128.shuffle<i64>(left01, left23, 0, 2)',
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
    'count = (count + GROUP - 1) / GROUP;',
    'count = 1;',
  ),
  fault('gradients overwrite instead of accumulating', reduction, 'if (old) value', 'if (old == 1) value'),
  fault(
    'half of the norm counts other numbers',
    reduction,
    'promote_low_f32x4(v128.shuffle<i64>(v, v, 1, 1))',
    'promote_low_f32x4(v)',
  ),
  fault(
    'softmax without the shift by the largest logit',
    loss,
    'const shift = v128.splat<real>(most);',
    'const shift = v128.splat<real>(0);',
  ),
  fault('the largest logit is sought in the first panel only', loss, 'return first + j;', 'return j;'),
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
    'k.sumRows(gradients.b_ih, gradients.b_hh, hiddenSize',
    'k.sumRows(gradients.b_ih, gradients.b_ih, hiddenSize',
    laws,
  ),
  fault(
    'dW_hh takes h_t for h_{t−1}',
    cell,
    'fromRow(statesBefore(block), first)',
    'fromRow(statesAfter(block), first)',
    laws,
  ),
  fault(
    'in reverse the wrong step is left out of dW_hh',
    cell,
    'const first = block.reverse ? 0 : leftOut;',
    'const first = leftOut;',
    laws,
  ),
  fault(
    'initial states of the caller count as zeros',
    lanePrograms,
    'const pass = { dropoutKey, fromRest };',
    'const pass = { dropoutKey, fromRest: fromRest || true };',
    laws,
  ),
  fault(
    'backward leaves the first step out',
    cell,
    'i < steps; i++) {\n    const t = reverse ? i : steps - 1 - i;',
    'i < steps - 1; i++) {\n    const t = reverse ? i : steps - 1 - i;',
    laws,
  ),
  fault(
    'a row goes on past its end',
    cell,
    'let row = rowsAt(lengths, t); row < rows; row++',
    'let row = rowsAt(lengths, t); row < 0; row++',
    laws,
  ),
  fault(
    'in reverse, steps behind a row’s end have gradients',
    cell,
    'if (!reverse) continue;',
    'continue;',
    laws,
  ),
  fault(
    'in reverse, dh0 comes from frame 0',
    cell,
    '((lengths[row] - 1) * rows + row) * dz.pitch',
    'row * dz.pitch',
    laws,
  ),
  fault(
    'what the other direction has made is left out of a layer’s input',
    cell,
    'let part = 1; part < x.length; part++) {',
    'let part = 1; part < 1; part++) {',
    laws,
  ),
  fault(
    'the layer below gets no gradient',
    laneBackward,
    'if (l > 0) layerInputGradient',
    'if (l > 9) layerInputGradient',
    laws,
  ),
  fault(
    'padding is read: lengths are ignored',
    laneForward,
    'if (i < block.count) {\n      length = block.lengths[i];',
    'if (i < block.count) {\n      length = steps;',
    laws,
  ),
  fault(
    'the mean is over the steps of the longest row',
    laneForward,
    '1, g.hiddenPanels, 1 / length)',
    '1, g.hiddenPanels, 1 / block.workspace.steps)',
    laws,
  ),
  fault(
    'masks go by the length of rows',
    dropout,
    'positionOf(block, i), layer)',
    'block.firstRank + i + 0 * positionOf(block, i), layer)',
    ['dropout'],
  ),
  fault(
    'the way back takes the masks of another layer',
    laneBackward,
    'dropUnits(tools, block, l - 1, p, part, part)',
    'dropUnits(tools, block, l, p, part, part)',
    laws,
  ),
  fault(
    'dx is not divided by the deviation',
    laneBackward,
    'if (g.normalized) k.normalizeRows(rowAt(dx, i)',
    'if (g.normalized && g.inputSize < 0) k.normalizeRows(rowAt(dx, i)',
    laws,
  ),
  fault(
    'labels that do not count are divided by',
    'engine/data/read-labels.ts',
    'if (label >= 0) counted[i]++;',
    'counted[i]++;',
    laws,
  ),
  fault(
    'h0 is ignored',
    laneForward,
    'if (block.fromRest) return;',
    'if (block.fromRest || g.numLayers > 0) return;',
    laws,
  ),
  fault(
    'dh0 is not divided',
    laneBackward,
    'g.hiddenSize, divisor)',
    'g.hiddenSize, divisor / divisor)',
    laws,
  ),
  fault(
    'dx is divided',
    laneBackward,
    'length, g.inputSize, 1)',
    'length, g.inputSize, block.batch.rows)',
    laws,
  ),
  fault(
    'the label is off by one',
    laneLoss,
    'rowDelta(loss, label, row);',
    'rowDelta(loss, (label + 1) % g.outputSize, row);',
    laws,
  ),
  fault(
    'logits come back in the order of lengths',
    laneForward,
    'memory.logits / g.realBytes + positionOf(block, i) * size',
    'memory.logits / g.realBytes + (block.firstRank + i) * size',
    laws,
  ),
  fault(
    'garbage behind the last parameter counts in the norm',
    laneBackward,
    'reals.fill(0, first + g.parameterCount, first + g.paddedCount);',
    'reals.fill(1, first + g.parameterCount, first + g.paddedCount);',
    training,
  ),

  fault(
    'relu passes gradients where h is 0',
    matmul,
    'v128.gt<real>(v128.load(h), zero)',
    'v128.ge<real>(v128.load(h), zero)',
    laws,
  ),
  fault(
    'half of the columns are not normalized',
    gather,
    'v128.sub<real>(v128.load(at, 16), v128.load(m, 16))',
    'v128.load(at, 16)',
    laws,
  ),
  fault(
    'a panel’s second half repeats the mask of its first',
    assembly('dropout'),
    'masked(to + 16, from + 16, v128.ge<u32>(finishV(v128.xor(place, unit)), least), s);',
    'masked(to + 16, from + 16, kept, s);',
    ['dropout'],
  ),

  // Reduction, steps, plan.
  fault(
    'the lane’s rows are the divisor',
    reduce,
    'old && old + offset, divisor)',
    'old && old + offset, Math.ceil(divisor / batch.lanes))',
    laws,
  ),
  fault(
    'the last run of parameters is forgotten',
    'engine/network/memory/model-memory.ts',
    'Math.ceil(paddedCount / RUN_PARAMETERS)',
    'Math.max(1, Math.floor(paddedCount / RUN_PARAMETERS))',
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
    lanePrograms,
    'target.add = true;',
    'target.add = false;',
    laws,
  ),
  fault(
    'the last and smaller batch is dropped',
    'engine/training/fit.ts',
    'this.#steps = Math.ceil(rows / spec.rows);',
    'this.#steps = Math.floor(rows / spec.rows);',
    training,
  ),
  fault(
    'a step packs the weights that it began with',
    epoch,
    'own.pack(1 - parity, PASSES.epoch);',
    'own.pack(parity, PASSES.epoch);',
    training,
  ),
  fault(
    'nobody updates the register at the border of two threads',
    'engine/network/programs/pack-plan.ts',
    'REGISTER_BYTES * Math.ceil(((end.first',
    'REGISTER_BYTES * Math.floor(((end.first',
    training,
  ),
  fault(
    'the gradient of a last state goes to where the longest row ends',
    laneBackward,
    'const last = reverse ? 0 : length - 1;',
    'const last = reverse ? 0 : steps - 1;',
  ),
  fault(
    'backward takes the weights that forward packed',
    calls,
    '  yield* packWeights(thread, 0, place, PASSES.backward);\n  const visit = (lane: number): void => {\n    const target',
    '  yield () => Atomics.store(thread.control.words, 3, 0);\n  const visit = (lane: number): void => {\n    const target',
    ['structure'],
  ),
  fault(
    'the parity is flipped before the update',
    epoch,
    'const counts = countStep(job.optimizer, readCounts(reals, parity));\n    if (finite) {',
    'const counts = countStep(job.optimizer, readCounts(reals, parity));\n    Atomics.store(words, Word.parity, 1 - parity);\n    if (finite) {',
    ['between-steps'],
  ),
  fault(
    'the parity is not flipped',
    epoch,
    'Atomics.store(words, Word.parity, 1 - parity);',
    'Atomics.store(words, Word.parity, parity);',
    training,
  ),
  fault('the norm is not the root', update, 'return Math.sqrt(sum);', 'return sum;', training),
  fault(
    'the first lane is claimed by nobody',
    lanePrograms,
    'Atomics.store(words, Word.nextLane, 0);',
    'Atomics.store(words, Word.nextLane, 1);',
    laws,
  ),
  fault(
    'lanes are added before all are done',
    lanePrograms,
    '  yield* products.help();\n  yield leader;',
    '  leader();',
    threads,
  ),
  fault(
    'a product is put off until what it reads is overwritten',
    laneBackward,
    'goes.\n    tools.products.finish();',
    'goes.',
    threads,
  ),
  fault(
    'a piece of a product begins where the one before it does',
    sharedProducts,
    '(first / panelColumns) * aStride',
    '0 * aStride',
    threads,
  ),
  fault(
    'the norm is taken before all its parts are there',
    epoch,
    '    yield nothing;\n\n    const norm = globalNorm(tools);',
    '    const norm = globalNorm(tools);',
    threads,
  ),
  fault('bias correction is missing in Adam', updateRun, 'rate / (1 - counts.beta1Power)', 'rate', [
    'optimizers',
  ]),
  fault('clipping leaves RMSprop alone', updateRun, 'bytes, scale, rate, alpha,', 'bytes, 1, rate, alpha,', [
    'optimizers',
  ]),
  fault(
    'the second moment goes to the current copy',
    updateRun,
    'vNew: secondMoments[next] + offset',
    'vNew: secondMoments[parity] + offset',
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
    sortedBatch,
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
    'engine/network/epoch-control.ts',
    'if (Atomics.load(words, Word.parity) === 1) {',
    'if (Atomics.load(words, Word.parity) === 2) {',
    training,
  ),

  // Threads.
  fault(
    'the barrier opens before the count is reset',
    barrier,
    '    Atomics.store(words, TeamWord.arrived, 0);\n    Atomics.add(words, TeamWord.round, 1);',
    '    Atomics.add(words, TeamWord.round, 1);\n    Atomics.store(words, TeamWord.arrived, 0);',
    ['barrier'],
  ),
  fault('the barrier opens one thread early', barrier, '+ 1 < this.#parties', '+ 1 < this.#parties - 1', [
    'barrier',
  ]),
  fault(
    'the leader runs when the others are on their way',
    barrier,
    '    leader();\n    Atomics.store(words, TeamWord.arrived, 0);\n    Atomics.add(words, TeamWord.round, 1);',
    '    Atomics.store(words, TeamWord.arrived, 0);\n    Atomics.add(words, TeamWord.round, 1);\n    leader();',
    ['barrier'],
  ),
  fault(
    'a sleeping thread does not look whether the call was given up',
    barrier,
    '&& Atomics.load(this.#words, TeamWord.abort) === 0',
    '&& Atomics.load(this.#words, TeamWord.abort) < 2',
    ['barrier'],
  ),
  fault(
    'the calling thread goes on before the others have come',
    barrier,
    'while (this.#goesOn(round)) await new Promise(setImmediate);',
    'await new Promise(setImmediate);',
    ['barrier'],
  ),
  fault(
    'nobody packs the weights of a call that the calling thread takes part in',
    'engine/network/network.ts',
    'if (packsHere) this.thread.weights(ALONE).pack(0, PASSES[job.kind]);',
    'void PASSES;',
    threads,
  ),
  fault(
    'a call given up ends as if it had been done',
    barrier,
    'if (Atomics.load(this.#words, TeamWord.abort)) throw new Aborted(GIVEN_UP);',
    'if (Atomics.load(this.#words, TeamWord.abort) > 1) throw new Aborted(GIVEN_UP);',
    ['barrier'],
  ),
  fault(
    'a thread lost between two calls is left to piscina',
    'engine/parallel/team.ts',
    'if (this.#lost) await this.#retire',
    'if (this.#lost && parties < 0) await this.#retire',
    ['pool'],
  ),
  fault(
    'what a call has made is not taken over',
    'engine/network/programs/take-over.ts',
    'const from = (second + offset) / real;',
    'const from = (second > 0 ? home + offset : 0) / real;',
    laws,
  ),
  fault(
    'the bell rings before the message has come',
    'engine/parallel/mailbox.ts',
    '  port.postMessage(message);\n  Atomics.add(bell, 0, 1);\n  Atomics.notify(bell, 0);',
    '  Atomics.add(bell, 0, 1);\n  Atomics.notify(bell, 0);\n  port.postMessage(message);',
    ['mailbox'],
  ),
  fault('close leaves the threads behind', 'engine/parallel/team.ts', 'this.#ending = pool.destroy();', '', [
    'pool',
  ]),
  fault(
    'an epoch has memory for its whole batches only',
    'engine/network/call-plan.ts',
    'last === 0 ? end : Math.max(',
    'last >= 0 ? end : Math.max(',
    ['fit-memory'],
  ),
];
