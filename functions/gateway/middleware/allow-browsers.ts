import type { MiddlewareHandler } from 'hono';
import { cors } from 'hono/cors';

const EXPOSED = [
  'x-request-id',
  'openai-processing-ms',
  'retry-after',
  'x-penstock-generation',
  'dpop-nonce',
  'www-authenticate',
  ...['limit', 'remaining', 'reset'].flatMap((what) => [`x-ratelimit-${what}-requests`, `x-ratelimit-${what}-tokens`]),
];

/** OpenAI's browser SDK sends `x-stainless-*`; a preflight's `*` does not cover `authorization`, so hono echoes what was asked for. */
export function allowBrowsers(): MiddlewareHandler {
  const answerPreflight = cors({
    origin: '*',
    allowMethods: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'],
    exposeHeaders: EXPOSED,
    maxAge: 86_400,
  });
  const exposed = EXPOSED.join(',');
  return async function shareAnswer(c, next) {
    if (c.req.method === 'OPTIONS') return answerPreflight(c, next);
    await next();
    // Hono's own sets them before there is an answer, and copies the answer to put them together.
    const { headers } = c.res;
    headers.set('access-control-allow-origin', '*');
    headers.set('access-control-expose-headers', exposed);
  };
}
