/** What a server does for processes that died: from time to time it goes on with their answers, or settles what they held. */
import { staticKeyId } from '../keys/api-keys.ts';
import { reclaimAll } from './reclaim-holds.ts';
import type { Room } from './room.ts';

/** Looks at once, and then as often as a process can have died. */
export function startRecovery(room: Room, goOn: (generationId: string) => Promise<boolean>): void {
  const { apiKeyHashes: staticKeys, runnerLeaseMs } = room.config;
  const recover = async () => {
    try {
      const records = await room.keys.list();
      const names = new Set([...records.map((record) => record.id), ...staticKeys.map(staticKeyId)]);
      await reclaimAll(
        { ...room, runnerLeaseMs, goOn },
        [...names].map((id) => `key/${id}`),
      );
    } catch (error) {
      room.log.write('warn', 'recovery-failed', { error: error instanceof Error ? error.name : 'unknown' });
    }
  };
  void recover();
  setInterval(() => void recover(), runnerLeaseMs).unref();
}
