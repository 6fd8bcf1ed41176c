/**
 * What piscina loads, with require: it hands its tasks to the module that does the work, which is an ES module.
 * Loading that one by require, as newer Nodes can, aborts the whole process when the worker is terminated meanwhile.
 */
const program = import('./program.js');
// A failure is told to whoever asks for work; before that, nobody listens.
program.catch(() => {});

const run = async (task: unknown) => (await program).default(task as never);

export = run;
