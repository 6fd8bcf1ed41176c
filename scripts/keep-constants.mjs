import binaryen from 'assemblyscript/binaryen';

/**
 * Gives every vector constant of a WebAssembly module a local variable, set where its function begins.
 * The compiler writes constants where they are used, and since Node 24 V8 makes them there, in three
 * instructions each time; a variable is loaded in one.
 */
export function keepConstants(binary) {
  const text = binaryen.readBinary(binary).emitText();
  const [head, ...functions] = text.split(/^(?= \(func \$)/m);
  const module = binaryen.parseText(head + functions.map(keepInFunction).join(''));
  module.setFeatures(binaryen.Features.All);
  if (!module.validate())
    throw new Error('The kernels are no longer valid WebAssembly with their constants kept.');
  return module.emitBinary();
}

/** Rewrites the text of one function, whose first lines are its signature and its variables. */
function keepInFunction(text) {
  const names = new Map();
  const body = text.replace(/\(v128\.const [^()]*\)/g, (constant) => {
    if (!names.has(constant)) names.set(constant, `$constant${names.size}`);
    return `(local.get ${names.get(constant)})`;
  });
  const [start] = /^ \(func .*\n(?: {2}\(local \$.*\n)*/.exec(body);
  const variables = [...names.values()].map((name) => `  (local ${name} v128)\n`);
  const values = [...names].map(([constant, name]) => `  (local.set ${name} ${constant})\n`);
  return start + variables.join('') + values.join('') + body.slice(start.length);
}
