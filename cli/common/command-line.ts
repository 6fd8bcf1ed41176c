import { type ParseArgsConfig, parseArgs } from 'node:util';

/** Command lines: options with their types, `--help`, and mistakes told in a line. */

export interface Option<Value> {
  /** A word for what follows it; a flag has nothing. */
  readonly argument?: string;
  readonly help: string;
  /** Reads what was written, if anything was. Throws an Error that names the option. */
  read(name: string, written: string | boolean | undefined): Value;
}

export type Options = Readonly<Record<string, Option<unknown>>>;

export type Values<Of extends Options> = { readonly [Name in keyof Of]: ReturnType<Of[Name]['read']> };

/** Reads a value; throws an Error that says what was expected and what it got. */
export type Parser<Value> = (written: string) => Value;

export const expected = (what: string, got: string): Error =>
  new RangeError(`expected ${what}, got ${got || 'nothing'}`);

export const flag = (help: string): Option<boolean> => ({ help, read: (_, written) => written === true });

/** An option that `parse` reads, where it is given. */
export function option<Value>(
  argument: string,
  help: string,
  parse: Parser<Value>,
): Option<Value | undefined> {
  const read = (name: string, written: string | boolean | undefined) => {
    if (typeof written !== 'string') return undefined;
    try {
      return parse(written);
    } catch (cause) {
      throw new RangeError(`--${name}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    }
  };
  return { argument, help, read };
}

export const text = (argument: string, help: string): Option<string | undefined> =>
  option(argument, help, (written) => written);

export const positive = (help: string): Option<number | undefined> =>
  option('N', help, (written) => {
    const value = Number(written);
    if (!(value > 0) || !Number.isFinite(value)) throw expected('a number above 0', written);
    return value;
  });

/** Reads whole numbers between two, both included. */
export const integer =
  (least: number, most = Number.MAX_SAFE_INTEGER): Parser<number> =>
  (written) => {
    const value = written.trim() === '' ? Number.NaN : Number(written);
    if (!Number.isSafeInteger(value) || value < least)
      throw expected(`an integer, ${least} or more`, written);
    if (value > most) throw expected(`at most ${most}`, written);
    return value;
  };

export const whole = (help: string, least: number, most?: number): Option<number | undefined> =>
  option('N', help, integer(least, most));

export const oneOf = <const Choice extends string>(
  choices: readonly Choice[],
  help: string,
): Option<Choice | undefined> =>
  option('NAME', `${help}: ${choices.join(', ')}`, (written) => {
    const found = choices.find((choice) => choice === written);
    if (found === undefined) throw expected(`one of ${choices.join(', ')}`, written);
    return found;
  });

/** Several values with a character between them. */
export const list = <Value>(
  argument: string,
  help: string,
  separator: string,
  parse: Parser<Value>,
): Option<Value[] | undefined> => option(argument, help, (written) => written.split(separator).map(parse));

/** Reads a command line. Throws an Error for an unknown option, a missing value or a value that is none. */
export function parseCommandLine<Of extends Options>(
  options: Of,
  args?: readonly string[],
): Values<Of> & { readonly help: boolean } {
  const known: Options = { ...options, help: flag('') };
  const typeOf = ({ argument }: Option<unknown>) => (argument === undefined ? 'boolean' : 'string');
  const config: ParseArgsConfig['options'] = {
    ...mapValues(known, (option) => ({ type: typeOf(option) })),
    help: { type: 'boolean', short: 'h' },
  };
  const { values } = parseArgs({ ...(args && { args: [...args] }), options: config });
  const written = values as Readonly<Record<string, string | boolean | undefined>>;
  return mapValues(known, (option, name) => option.read(name, written[name])) as ReturnType<
    typeof parseCommandLine<Of>
  >;
}

const mapValues = <From, To>(record: Readonly<Record<string, From>>, to: (value: From, name: string) => To) =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, to(value, name)]));

/**
 * The options of the program that runs; ends it where the command line asks for help or is mistaken. `about` stands
 * above the help.
 */
export function readCommandLine<Of extends Options>(
  command: string,
  options: Of,
  about?: string,
): Values<Of> {
  try {
    const values = parseCommandLine(options);
    if (!values.help) return values;
    console.log([...(about ? [about, ''] : []), usage(command, options)].join('\n'));
    process.exit(0);
  } catch (error) {
    fail(error);
  }
}

/** Ends the program with an error's message alone: it is about what was asked for, not about this code. */
export function fail(error: unknown): never {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

function usage(command: string, options: Options): string {
  const lines = Object.entries(options).map(([name, { argument, help }]) => {
    const head = argument === undefined ? `--${name}` : `--${name} ${argument}`;
    return `  ${head.padEnd(20)} ${help}`;
  });
  return [`${command} -- [options]`, '', ...lines].join('\n');
}
