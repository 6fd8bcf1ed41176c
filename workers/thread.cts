/**
 * The file that piscina loads, with `require`: it passes tasks on to the ES module that does the work.
 * Loading that module with `require`, as newer versions of Node.js can, would abort the whole process
 * if the worker were terminated meanwhile.
 */
const program = import('./program.js');
// A failure is reported to whoever asks for work; before that, nobody would handle it.
program.catch(() => {});

const run = async (task: unknown) => (await program).default(task as never);

export = run;
