/** The canary: what a schedule starts, to see whether a caller would get an answer just now. */
import { createSecretsManager } from '../drivers/secrets-manager.ts';
import { loadCanaryConfig } from './config.ts';
import { createCanary } from './run-canary.ts';

export const handler = createCanary(loadCanaryConfig(), {
  getSecret: createSecretsManager(),
  now: () => performance.now(),
  time: Date.now,
  write: (line) => process.stdout.write(line),
});
