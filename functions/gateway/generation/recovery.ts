/** What a server does for processes that died: from time to time it settles what they held. */

import type { GatewayConfig } from '../config.ts';
import { createApiKeys, staticKeyId } from '../keys/api-keys.ts';
import type { Services } from '../services.ts';
import { reclaimAll } from './reclaim-holds.ts';

/** Looks at once, and then as often as a process can have died. */
export function startRecovery(services: Services, config: Pick<GatewayConfig, 'apiKeyHashes' | 'runnerLeaseMs'>): void {
  const { apiKeyHashes: staticKeys, runnerLeaseMs } = config;
  const keys = createApiKeys(services.table, services.clock, services.ids, staticKeys);
  const recover = async () => {
    try {
      const records = await keys.list();
      const names = new Set([...records.map((record) => record.id), ...staticKeys.map(staticKeyId)]);
      await reclaimAll(
        { ...services, runnerLeaseMs },
        [...names].map((id) => `key/${id}`),
      );
    } catch (error) {
      services.log.write('warn', 'recovery-failed', { error: error instanceof Error ? error.name : 'unknown' });
    }
  };
  void recover();
  setInterval(() => void recover(), runnerLeaseMs).unref();
}
