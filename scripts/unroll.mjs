/**
 * Writes out the loops of a source that ask for it,
 *
 *     for (let i = 0; i < COUNT; i++) { // unroll
 *
 * by as many copies of the body, from which `i` must be absent and in which `break` therefore leaves the loop around it.
 * COUNT is a number or the name of one of the constants.
 */
export function unroll(source, constants) {
  const loop = /^( *)for \(let (\w+) = 0; \2 < (\w+); \2\+\+\) \{ \/\/ unroll\n((?:.*\n)*?)^\1\}\n/gm;
  const written = source.replace(loop, (_, indent, _index, count, body) =>
    `${indent}{\n${body}${indent}}\n`.repeat(constants[count] ?? Number(count)),
  );
  if (written.includes('{ // unroll'))
    throw new SyntaxError('A loop to be unrolled is not written as it has to be.');
  return written;
}
