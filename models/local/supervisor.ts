import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SentenceError } from './sentence-error.ts';

/** One child process of the local stack. */
export interface ChildSpec {
  readonly name: string;
  /** The file that Node runs, with its arguments. */
  readonly file: string;
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Answers 2xx when the child can work. */
  readonly readyUrl: string;
  /** Its work takes every core for a long while: others that have something to do for a moment go before. */
  readonly yields?: boolean;
}

const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 10_000;
/** A child that ran this long is healthy again: its next crash starts from the first backoff. */
const HEALTHY_AFTER_MS = 30_000;

/**
 * Starts child processes, restarts one that crashes, with a growing pause, and stops them in the order they are given: the first stops
 * and drains before the next is asked.
 */
export class Supervisor {
  readonly #logFolder: string;
  readonly #say: (sentence: string) => void;
  readonly #children = new Map<string, ChildProcess>();
  #stopping = false;

  constructor(options: { logFolder: string; say: (sentence: string) => void }) {
    this.#logFolder = options.logFolder;
    this.#say = options.say;
  }

  /** @throws {SentenceError} the child ended before it was ready; its own last words are in the message. */
  async start(spec: ChildSpec): Promise<void> {
    const child = this.#spawn(spec, 'w');
    const exited = once(child, 'exit').then(() => {
      throw new SentenceError(`${spec.name} did not start: ${this.#lastWords(spec.name)} (${this.#logFile(spec.name)})`);
    });
    await Promise.race([exited, untilReady(spec.readyUrl, child)]);
    exited.catch(() => undefined); // from now on an exit is a crash, and is answered with a restart
    void this.#restartAfterExit(spec, child);
  }

  /** Asks each child to stop, one after the other in this order, and waits for it. */
  async stop(names: readonly string[]): Promise<void> {
    this.#stopping = true;
    for (const name of names) await this.#stopChild(name);
  }

  /** Ends every child at once. */
  kill(): void {
    this.#stopping = true;
    for (const child of this.#children.values()) child.kill('SIGKILL');
  }

  #spawn(spec: ChildSpec, logFlags: 'w' | 'a'): ChildProcess {
    const log = openSync(this.#logFile(spec.name), logFlags);
    // A group of its own: Ctrl-C goes to the whole foreground group, and would cut streams that the gateway is still draining.
    const child = spawn(process.execPath, ['--import', import.meta.resolve('./exit-with-parent.ts'), spec.file, ...spec.arguments], {
      env: { ...spec.environment },
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    if (spec.yields === true && child.pid !== undefined) yieldToOthers(child.pid);
    this.#children.set(spec.name, child);
    return child;
  }

  async #restartAfterExit(spec: ChildSpec, first: ChildProcess): Promise<void> {
    let child = first;
    let backoff = FIRST_BACKOFF_MS;
    for (;;) {
      const startedAt = Date.now();
      const [code, signal] =
        child.exitCode !== null || child.signalCode !== null ? [child.exitCode, child.signalCode] : await once(child, 'exit');
      if (this.#stopping) return;
      if (Date.now() - startedAt > HEALTHY_AFTER_MS) backoff = FIRST_BACKOFF_MS;
      this.#say(
        `${spec.name} stopped (${signal ?? `exit code ${code}`}): ${this.#lastWords(spec.name)} Restarting in ${backoff / 1000} s.`,
      );
      await sleep(backoff);
      backoff = Math.min(backoff * 2, LONGEST_BACKOFF_MS);
      if (this.#stopping) return;
      child = this.#spawn(spec, 'a');
      void this.#sayWhenReady(spec, child);
    }
  }

  async #sayWhenReady(spec: ChildSpec, child: ChildProcess): Promise<void> {
    if (await untilReady(spec.readyUrl, child)) this.#say(`${spec.name} is ready again.`);
  }

  async #stopChild(name: string): Promise<void> {
    const child = this.#children.get(name);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  }

  #logFile(name: string): string {
    return join(this.#logFolder, `${name}.log`);
  }

  #lastWords(name: string): string {
    const lines = readFileSync(this.#logFile(name), 'utf8').trimEnd().split('\n');
    return (lines.at(-1) ?? '').slice(0, 500);
  }
}

/** The threads that the process makes later inherit it. */
function yieldToOthers(pid: number): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // It has ended already, which its supervisor sees, or the system has no priorities.
  }
}

/** Asks until the child answers 2xx: true. False when it exits first. */
async function untilReady(url: string, child: ChildProcess): Promise<boolean> {
  while (child.exitCode === null && child.signalCode === null) {
    const ready = await fetch(url, { signal: AbortSignal.timeout(2000) }).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return true;
    await sleep(50);
  }
  return false;
}
