import { readFileSync } from 'node:fs';
import type { Contestant } from './contestants.ts';

const TICKS_PER_SECOND = 100; // USER_HZ of Linux

/** Cores that processes other than the contestants and this one used, while `work` ran. */
export async function withOtherLoad<T>(
  contestants: readonly Contestant[],
  work: () => Promise<T>,
): Promise<{ result: T; otherCores: number }> {
  const ids = [process.pid, ...contestants.flatMap(({ process: child }) => child.pid ?? [])];
  const busy = () => {
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (/^cpu +(.+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? '')
      .split(' ')
      .map(Number);
    return user + nice + system + irq + softirq;
  };
  const own = () =>
    ids.reduce((sum, id) => {
      const fields = readFileSync(`/proc/${id}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return sum + Number(fields[11]) + Number(fields[12]);
    }, 0);
  const [startedAt, busyBefore, ownBefore] = [performance.now(), busy(), own()];
  const result = await work();
  const seconds = (performance.now() - startedAt) / 1000;
  return { result, otherCores: Math.max(0, busy() - busyBefore - (own() - ownBefore)) / TICKS_PER_SECOND / seconds };
}
