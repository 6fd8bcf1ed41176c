/**
 * Unrolls the loops of a source that ask for it,
 *
 *     for (let i = 0; i < COUNT; i++) { // unroll
 *
 * into COUNT copies of the body, from which `i` must be absent, and in which `break` therefore leaves
 * the loop around it. With `interleave` instead of `unroll` the copies are mixed statement by
 * statement: the first one of every copy, then the second ones. There each statement must be a line;
 * what it declares gets a name of its own in each copy, and `i` becomes the copy's number. A loop to be
 * unrolled may contain others. COUNT is a number or the name of one of the constants.
 */
export function unroll(source, constants) {
  const loop =
    /^( *)for \(let (\w+) = 0; \2 < (\w+); \2\+\+\) \{ \/\/ (unroll|interleave)\n((?:.*\n)*?)^\1\}\n/gm;
  const written = source.replace(loop, (_, indent, index, count, how, body) => {
    const copies = constants[count] ?? Number(count);
    if (how === 'interleave') return interleave(body, index, copies);
    return `${indent}{\n${unroll(body, constants)}${indent}}\n`.repeat(copies);
  });
  if (/\{ \/\/ (unroll|interleave)/.test(written))
    throw new SyntaxError('A loop to be unrolled is not written as it has to be.');
  return written;
}

function interleave(body, index, copies) {
  const names = [...body.matchAll(/\bconst (\w+)/g)].map(([, name]) => name);
  const own = new RegExp(`\\b(${names.join('|')})\\b`, 'g');
  const number = new RegExp(`\\b${index}\\b`, 'g');
  return body.replace(/.*\n/g, (statement) =>
    Array.from({ length: copies }, (_, i) => statement.replace(own, `$1_${i}`).replace(number, i)).join(''),
  );
}
