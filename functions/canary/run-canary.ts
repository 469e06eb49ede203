import { CanaryFailedError } from './check-answer.ts';
import type { CanaryConfig } from './config.ts';
import { encodeMetrics } from './encode-metrics.ts';
import { probeGeneration } from './probe-generation.ts';

export interface CanaryOutside {
  /** Gives a secret's text by its ARN, or throws. */
  getSecret(arn: string): Promise<string>;
  /** Milliseconds on a clock that never goes back. */
  now(): number;
  /** Unix time in milliseconds. */
  time(): number;
  /** Takes one line of the log. */
  write(line: string): void;
}

export interface CanaryReport {
  readonly failed: readonly string[];
}

/**
 * What the schedule calls: one generation of each model, and one line for each with what it showed. It fails only where nothing can be
 * written any more: a missing line raises the alarm as well as a bad one.
 */
export function createCanary(config: CanaryConfig, outside: CanaryOutside): () => Promise<CanaryReport> {
  const { models, namespace, apiKeyArn, baseUrl, deadlineMs } = config;
  const probe = async (model: string, apiKey: string | undefined): Promise<boolean> => {
    const line = { namespace, model, timestamp: outside.time() };
    try {
      if (apiKey === undefined) throw new CanaryFailedError('no-key');
      const measurement = await probeGeneration({ baseUrl, apiKey, deadlineMs }, model, outside.now);
      outside.write(encodeMetrics({ ...line, measurement }));
      return true;
    } catch (error) {
      if (!(error instanceof CanaryFailedError)) throw error;
      outside.write(encodeMetrics({ ...line, failed: error }));
      return false;
    }
  };
  return async function runCanary() {
    const apiKey = await readKey(apiKeyArn, outside);
    const good = await Promise.all(models.map((model) => probe(model, apiKey)));
    return { failed: models.filter((_, index) => good[index] === false) };
  };
}

/** Read anew each time, so that a changed key is good at the next run. */
async function readKey(arn: string, { getSecret }: CanaryOutside): Promise<string | undefined> {
  const key = await getSecret(arn).then(
    (text) => text.trim(),
    () => '',
  );
  return /^[\x21-\x7e]{8,256}$/.test(key) ? key : undefined; // anything else is no header
}
