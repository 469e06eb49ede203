import { Hono } from 'hono';
import { cors } from 'hono/cors';
import type { GatewayConfig } from './config.ts';
import { DrainingError, GatewayError, MethodNotAllowedError, RouteNotFoundError } from './errors.ts';
import { authenticate } from './middleware/authenticate.ts';
import { limitBody } from './middleware/limit-body.ts';
import { type RequestVariables, requestId } from './middleware/request-id.ts';
import { verifyOrigin } from './middleware/verify-origin.ts';
import { errorResponse } from './openai/error-body.ts';
import { answerGeneration } from './routes/answer-generation.ts';
import { chatCompletions } from './routes/chat-completions.ts';
import { completions } from './routes/completions.ts';
import { getModel, listModels } from './routes/models.ts';
import type { Services } from './services.ts';

export type App = Hono<{ Variables: RequestVariables }>;

/** Everything a caller can call, in the order in which a request meets it. */
export function createApp(services: Services, config: GatewayConfig, isDraining: () => boolean = () => false): App {
  const app: App = new Hono<{ Variables: RequestVariables }>();

  app.use(requestId(services.ids, services.clock));
  app.use(allowBrowsers());
  app.onError((error, c) => {
    const id = c.get('requestId');
    if (!(error instanceof GatewayError) || error.status >= 500) {
      services.log.write('error', 'request-failed', {
        requestId: id,
        error: error.name,
        cause: describeCause(error),
        stack: stackOf(error),
      });
    }
    return errorResponse(error, id);
  });
  app.notFound((c) => errorResponse(new RouteNotFoundError(c.req.method, c.req.path), c.get('requestId')));

  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.get('/readyz', (c) => {
    if (isDraining()) throw new DrainingError();
    return c.json({ status: 'ready' });
  });

  app.use('/v1/*', verifyOrigin(config.originSecretHash), limitBody(config.maxBodyBytes), authenticate(config.apiKeyHashes));
  app.post('/v1/chat/completions', (c) => answerGeneration(c, services, chatCompletions));
  app.post('/v1/completions', (c) => answerGeneration(c, services, completions));
  app.get('/v1/models', (c) => c.json(listModels(services.models)));
  app.get('/v1/models/:id{.+}', (c) => c.json(getModel(services.models, c.req.param('id'))));

  for (const path of ['/v1/chat/completions', '/v1/completions']) refuseOtherMethods(app, path, ['POST']);
  for (const path of ['/v1/models', '/v1/models/:id{.+}', '/healthz', '/readyz']) refuseOtherMethods(app, path, ['GET', 'HEAD']);
  return app;
}

function refuseOtherMethods(app: App, path: string, allowed: readonly string[]): void {
  app.all(path, (c) => {
    throw new MethodNotAllowedError(c.req.method, c.req.path, allowed);
  });
}

/** OpenAI's browser SDK sends `x-stainless-*`; a preflight's `*` does not cover `authorization`, so hono echoes what was asked for. */
function allowBrowsers() {
  return cors({
    origin: '*',
    allowMethods: ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS'],
    exposeHeaders: ['x-request-id', 'openai-processing-ms', 'retry-after', 'x-penstock-generation'],
    maxAge: 86_400,
  });
}

function describeCause(error: Error): string | undefined {
  return error.cause instanceof Error ? error.cause.name : undefined;
}

/** Where a bug is, without its message: a message may quote what a caller sent. */
function stackOf(error: Error): string | undefined {
  return error.stack
    ?.split('\n')
    .filter((line) => line.startsWith('    at '))
    .slice(0, 8)
    .join(' | ');
}
