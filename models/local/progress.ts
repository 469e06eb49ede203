/** A progress bar where there is a terminal, a line at each tenth where there is none. */
export class Progress {
  readonly #label: string;
  readonly #output: NodeJS.WriteStream;
  #lastTenth = -1;
  #drawn = false;

  constructor(label: string, output: NodeJS.WriteStream = process.stderr) {
    this.#label = label;
    this.#output = output;
  }

  /** @param fraction done, 0 to 1. */
  show(fraction: number, detail = ''): void {
    const bounded = Math.min(Math.max(fraction, 0), 1);
    const percent = `${Math.floor(bounded * 100)}`.padStart(3);
    if (this.#output.isTTY) {
      const width = 28;
      const full = Math.round(bounded * width);
      this.#output.write(`\r\x1b[2K${this.#label} [${'#'.repeat(full)}${'-'.repeat(width - full)}] ${percent}% ${detail}`);
      this.#drawn = true;
      return;
    }
    const tenth = Math.floor(bounded * 10);
    if (tenth === this.#lastTenth) return;
    this.#lastTenth = tenth;
    this.#output.write(`${this.#label} ${percent}% ${detail}\n`);
  }

  end(): void {
    if (this.#drawn) this.#output.write('\n');
  }
}
