import { readFile, stat } from 'node:fs/promises';
import { parseSafetyPolicy, type SafetyPolicy } from '../../layers/safety/index.ts';
import type { Clock, Log, PolicyFile } from '../gateway/services.ts';

/** How often the file is looked at. */
const LOOK_MS = 1_000;

/**
 * A policy in a file, read again when the file changes. A new content that is no policy is logged and the last good one stays in force: a typing
 * error must not take a filter away.
 */
export function createPolicyFile(path: string | undefined, clock: Clock, log: Log): PolicyFile | undefined {
  if (path === undefined) return undefined;
  let policy: SafetyPolicy | undefined;
  let version = '';
  let lookAgainAt = 0;
  let looking: Promise<void> | undefined;

  const look = async (): Promise<void> => {
    let found = 'missing';
    try {
      const { mtimeMs, size, ino } = await stat(path);
      found = `${mtimeMs} ${size} ${ino}`;
      if (found === version) return;
      policy = parseSafetyPolicy(JSON.parse(await readFile(path, 'utf8')));
      log.write('info', 'safety-policy-read', { path, policyDigest: policy.digest });
    } catch (error) {
      // Nothing judges yet: nothing may pass as if it were judged.
      if (policy === undefined) throw error;
      if (found !== version)
        log.write('error', 'safety-policy-unusable', { path, reason: error instanceof Error ? error.message : String(error) });
    }
    version = found;
  };

  return {
    async read() {
      if (clock.now() >= lookAgainAt || policy === undefined) {
        looking ??= look().finally(() => {
          lookAgainAt = clock.now() + LOOK_MS;
          looking = undefined;
        });
        await looking;
      }
      return policy;
    },
  };
}
