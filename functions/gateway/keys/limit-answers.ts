/** What callers are told about limits: OpenAI's `x-ratelimit-*` headers and the refusals. https://platform.openai.com/docs/guides/rate-limits */
import { type GatewayError, QuotaExceededError, RateLimitError } from '../errors.ts';
import type { Attributes, Row } from '../services/table.ts';
import type { MeterScope } from './caller.ts';
import { type Counter, countersAt, countOf, type Limits } from './limits.ts';

export interface RateLimits {
  readonly headers: Readonly<Record<string, string>>;
}

/** The minute's limits of the key itself, as they stand after this request's own tokens were set aside. */
export function rateLimitsOf(limits: Limits, attributes: Attributes | undefined, atMs: number): RateLimits {
  const headers: Record<string, string> = {};
  for (const { name, attribute, limit, resetsAt } of countersAt(atMs, limits)) {
    const kind = name === 'requests_per_minute' ? 'requests' : name === 'tokens_per_minute' ? 'tokens' : undefined;
    if (kind === undefined || limit === undefined || resetsAt === undefined) continue;
    headers[`x-ratelimit-limit-${kind}`] = String(limit);
    headers[`x-ratelimit-remaining-${kind}`] = String(Math.max(0, limit - countOf(attributes, attribute)));
    headers[`x-ratelimit-reset-${kind}`] = encodeDuration(resetsAt - atMs);
  }
  return { headers };
}

/** As OpenAI writes it: `1s`, `6m0s`, `20ms`. */
function encodeDuration(milliseconds: number): string {
  if (milliseconds < 1000) return `${milliseconds}ms`;
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}

const OWNERS: Readonly<Record<string, string>> = {
  key: 'API key',
  client: 'client secret',
  project: 'project',
  organization: 'organization',
};

export function describeRefusal(
  refusedBy: { readonly meter: MeterScope; readonly counter: Counter | 'concurrent_requests' } | undefined,
  meters: readonly MeterScope[],
  rows: readonly (Row | undefined)[],
  request: { readonly promptTokens: number; readonly completionTokens: number; readonly at: number },
): GatewayError {
  const { headers } = rateLimitsOf(meters[0]?.limits ?? {}, rows[0]?.attributes, request.at);
  // Others took what was left between every look and write: they are many.
  if (refusedBy === undefined)
    return new RateLimitError('Too many requests at once. Try again.', { type: 'requests', retryAfterSeconds: 1, headers });
  const { meter, counter } = refusedBy;
  const owner = OWNERS[meter.name.split('/', 1)[0] ?? ''] ?? 'key';
  if (counter === 'concurrent_requests') {
    return new RateLimitError(
      `This ${owner} has its ${meter.limits.concurrent_requests} requests running already. Try again when one of them has ended.`,
      { type: 'requests', retryAfterSeconds: 1, headers },
    );
  }
  const retryAfterSeconds = counter.resetsAt === undefined ? undefined : Math.max(1, Math.ceil((counter.resetsAt - request.at) / 1000));
  const limit = `${counter.name} of this ${owner}`;
  if (counter.name === 'requests_per_minute' || counter.name === 'tokens_per_minute') {
    const tooLarge = counter.unit === 'tokens' && request.promptTokens >= (counter.limit ?? 0);
    if (tooLarge) {
      return new RateLimitError(
        `The prompt has ${request.promptTokens} tokens, and the ${limit} is ${counter.limit}. Shorten the prompt.`,
        {
          type: 'tokens',
          headers,
        },
      );
    }
    return new RateLimitError(
      `The ${limit} (${counter.limit}) is reached: this request needs ${counter.unit === 'tokens' ? `${request.promptTokens} + up to ${request.completionTokens} tokens` : 'one more'}. Try again in ${retryAfterSeconds} s.`,
      {
        type: counter.unit === 'tokens' ? 'tokens' : 'requests',
        ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
        headers,
      },
    );
  }
  const until = counter.resetsAt === undefined ? 'Ask for a larger one.' : `It starts anew at ${new Date(counter.resetsAt).toISOString()}.`;
  return new QuotaExceededError(`The ${limit} is spent, or what is left of it is less than the prompt needs. ${until}`, {
    retryAfterSeconds,
    headers,
  });
}
