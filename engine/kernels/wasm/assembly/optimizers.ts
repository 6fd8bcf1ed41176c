// One step of each optimizer over a run of parameters, from one copy of the state into the other: a
// step that dies half-way has changed nothing. All pointers are to runs of `bytes` bytes, a multiple of
// 16; g is scaled by `scale` (clipping) as it is read.

/**
 * Stochastic gradient descent (https://pytorch.org/docs/stable/generated/torch.optim.SGD.html):
 * g ← g + decay·p; m' = momentum·m + g; p' = p − rate·(nesterov ? g + momentum·m' : m').
 */
export function sgd(
  pNew: usize, p: usize, g: usize, mNew: usize, m: usize, bytes: usize,
  scale: real, rate: real, momentum: real, decay: real, nesterov: bool,
): void {
  const s = v128.splat<real>(scale), lr = v128.splat<real>(rate);
  const mu = v128.splat<real>(momentum), wd = v128.splat<real>(decay);
  for (let i: usize = 0; i < bytes; i += 16) {
    const w = v128.load(p + i);
    const d = v128.add<real>(v128.mul<real>(v128.load(g + i), s), v128.mul<real>(wd, w));
    const buffer = v128.add<real>(v128.mul<real>(mu, v128.load(m + i)), d);
    v128.store(mNew + i, buffer);
    const step = nesterov ? v128.add<real>(d, v128.mul<real>(mu, buffer)) : buffer;
    v128.store(pNew + i, v128.sub<real>(w, v128.mul<real>(lr, step)));
  }
}

/**
 * Adam (Kingma & Ba 2015, https://arxiv.org/abs/1412.6980), and AdamW where `shrink` < 1:
 * g ← g + decay·p; p ← shrink·p; m' = b1·m + (1−b1)·g; v' = b2·v + (1−b2)·g²;
 * p' = p − rate/c1 · m' / (√v'/root2 + eps), with c1 = 1 − b1ᵗ and root2 = √(1 − b2ᵗ).
 */
export function adam(
  pNew: usize, p: usize, g: usize, mNew: usize, m: usize, vNew: usize, v: usize, bytes: usize,
  scale: real, rateOverC1: real, b1: real, oneMinusB1: real, b2: real, oneMinusB2: real, root2: real, eps: real,
  decay: real, shrink: real,
): void {
  const s = v128.splat<real>(scale), lr = v128.splat<real>(rateOverC1), wd = v128.splat<real>(decay);
  const beta1 = v128.splat<real>(b1), rest1 = v128.splat<real>(oneMinusB1);
  const beta2 = v128.splat<real>(b2), rest2 = v128.splat<real>(oneMinusB2);
  const root = v128.splat<real>(root2), e = v128.splat<real>(eps), keep = v128.splat<real>(shrink);
  for (let i: usize = 0; i < bytes; i += 16) {
    const w = v128.load(p + i);
    const d = v128.add<real>(v128.mul<real>(v128.load(g + i), s), v128.mul<real>(wd, w));
    const mean = v128.add<real>(v128.mul<real>(beta1, v128.load(m + i)), v128.mul<real>(rest1, d));
    const square = v128.add<real>(v128.mul<real>(beta2, v128.load(v + i)), v128.mul<real>(rest2, v128.mul<real>(d, d)));
    v128.store(mNew + i, mean);
    v128.store(vNew + i, square);
    const denominator = v128.add<real>(v128.div<real>(v128.sqrt<real>(square), root), e);
    const step = v128.mul<real>(lr, v128.div<real>(mean, denominator));
    v128.store(pNew + i, v128.sub<real>(v128.mul<real>(keep, w), step));
  }
}

/**
 * RMSprop (https://pytorch.org/docs/stable/generated/torch.optim.RMSprop.html):
 * g ← g + decay·p; v' = alpha·v + (1−alpha)·g²; m' = momentum·m + g/(√v' + eps); p' = p − rate·m'.
 */
export function rmsprop(
  pNew: usize, p: usize, g: usize, mNew: usize, m: usize, vNew: usize, v: usize, bytes: usize,
  scale: real, rate: real, alpha: real, oneMinusAlpha: real, eps: real, momentum: real, decay: real,
): void {
  const s = v128.splat<real>(scale), lr = v128.splat<real>(rate), wd = v128.splat<real>(decay);
  const al = v128.splat<real>(alpha), rest = v128.splat<real>(oneMinusAlpha);
  const e = v128.splat<real>(eps), mu = v128.splat<real>(momentum);
  for (let i: usize = 0; i < bytes; i += 16) {
    const w = v128.load(p + i);
    const d = v128.add<real>(v128.mul<real>(v128.load(g + i), s), v128.mul<real>(wd, w));
    const square = v128.add<real>(v128.mul<real>(al, v128.load(v + i)), v128.mul<real>(rest, v128.mul<real>(d, d)));
    const scaled = v128.div<real>(d, v128.add<real>(v128.sqrt<real>(square), e));
    const buffer = v128.add<real>(v128.mul<real>(mu, v128.load(m + i)), scaled);
    v128.store(vNew + i, square);
    v128.store(mNew + i, buffer);
    v128.store(pNew + i, v128.sub<real>(w, v128.mul<real>(lr, buffer)));
  }
}
