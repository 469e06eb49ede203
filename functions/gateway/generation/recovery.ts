/** What a server does for processes that died: from time to time it settles what they held. */
import { createApiKeys, staticKeyId } from '../keys/api-keys.ts';
import type { Services } from '../services.ts';
import { reclaimAll } from './reclaim-holds.ts';
import { RUNNER_LEASE_MS } from './runner.ts';

/** Looks at once, and then as often as a process can have died. */
export function startRecovery(services: Services, staticKeys: readonly string[]): void {
  const keys = createApiKeys(services.table, services.clock, services.ids, staticKeys);
  const recover = async () => {
    try {
      const records = await keys.list();
      const names = new Set([...records.map((record) => record.id), ...staticKeys.map(staticKeyId)]);
      await reclaimAll(
        services,
        [...names].map((id) => `key/${id}`),
      );
    } catch (error) {
      services.log.write('warn', 'recovery-failed', { error: error instanceof Error ? error.name : 'unknown' });
    }
  };
  void recover();
  setInterval(() => void recover(), RUNNER_LEASE_MS).unref();
}
