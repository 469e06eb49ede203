/**
 * The process that works on generations, as others see it: one row, renewed while anything runs. When it is not renewed, the process is dead,
 * and what it held is settled by whoever meets it. One write in some seconds for the whole process, not one for each generation.
 */

import type { Table } from '../services/table.ts';
import type { Clock, Ids } from '../services.ts';

/** How long a process may be silent until it counts as dead. */
export const RUNNER_LEASE_MS = 15_000;

export interface Runner {
  readonly id: string;
  /** Says that a generation runs; the result says that it ended. */
  enter(): () => void;
  /** It was silent for so long while something ran that others may have taken it for dead: its work may be somebody else's by now. */
  hasBeenSilent(): boolean;
  close(): void;
}

/**
 * @throws nothing: a renewal that fails is made again at the next turn.
 */
export function createRunner(table: Table, clock: Clock, ids: Ids, leaseMs: number): Runner {
  const id = ids.create('run_');
  let running = 0;
  let aliveUntil = 0;
  let silent = false;
  let timer: NodeJS.Timeout | undefined;
  const hasBeenSilent = () => {
    silent ||= running > 0 && clock.now() > aliveUntil;
    return silent;
  };
  const renew = () => {
    if (aliveUntil - clock.now() > leaseMs * (5 / 6)) return;
    aliveUntil = clock.now() + leaseMs;
    const change = { type: 'put', key: runnerKey(id), attributes: { aliveUntil }, expiresAt: Math.ceil(aliveUntil / 1000) + 3600 } as const;
    table.write(change).catch(() => {
      aliveUntil = 0;
    });
  };
  return {
    id,
    hasBeenSilent,
    enter() {
      hasBeenSilent();
      renew();
      running += 1;
      timer ??= setInterval(() => {
        hasBeenSilent();
        renew();
      }, leaseMs / 3).unref();
      let left = false;
      return () => {
        if (left) return;
        left = true;
        running -= 1;
        if (running > 0) return;
        clearInterval(timer);
        timer = undefined;
      };
    },
    close() {
      clearInterval(timer);
    },
  };
}

/** @param since when the runner was last seen at work by other means, in milliseconds since the epoch. */
export async function isRunnerAlive(
  table: Table,
  clock: Clock,
  runnerId: string,
  since: number,
  leaseMs = RUNNER_LEASE_MS,
): Promise<boolean> {
  if (clock.now() - since < leaseMs) return true; // its first renewal may still be on its way
  return (await runnerAliveUntil(table, runnerId, since)) > clock.now();
}

/** Until when it is known to have been at work, in milliseconds since the epoch. */
export async function runnerAliveUntil(table: Table, runnerId: string, since: number): Promise<number> {
  const row = await table.read(runnerKey(runnerId));
  const aliveUntil = row?.attributes['aliveUntil'];
  return typeof aliveUntil === 'number' ? aliveUntil : since;
}

function runnerKey(id: string) {
  return { partition: `runner/${id}`, sort: 'runner' };
}
