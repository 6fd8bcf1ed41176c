/**
 * A line on a terminal that is overwritten again and again; elsewhere (a file, a log) only lines that stay are written.
 */
export class ProgressLine {
  readonly #stream = process.stderr;

  /** Shows where things stand; gone with the next call. */
  show(text: string): void {
    if (!this.#stream.isTTY) return;
    this.#stream.cursorTo(0);
    this.#stream.write(text.slice(0, this.#stream.columns - 1));
    this.#stream.clearLine(1);
  }

  /** Writes a line that stays. */
  keep(text: string): void {
    if (this.#stream.isTTY) {
      this.#stream.cursorTo(0);
      this.#stream.clearLine(1);
    }
    this.#stream.write(`${text}\n`);
  }
}
