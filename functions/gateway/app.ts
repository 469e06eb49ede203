import { Hono } from 'hono';
import type { GatewayConfig } from './config.ts';
import { DrainingError, GatewayError, MethodNotAllowedError, RouteNotFoundError } from './errors.ts';
import { startRecovery } from './generation/recovery.ts';
import { createRoom } from './generation/room.ts';
import { allowBrowsers } from './middleware/allow-browsers.ts';
import { authenticate, requireScope } from './middleware/authenticate.ts';
import { limitBody } from './middleware/limit-body.ts';
import { createPublicOrigin } from './middleware/public-origin.ts';
import { type RequestVariables, requestId } from './middleware/request-id.ts';
import { verifyOrigin } from './middleware/verify-origin.ts';
import { errorResponse } from './openai/error-body.ts';
import { PriorCache } from './pipeline/classify/prior-cache.ts';
import { createApiKey, getLimits, listApiKeys, revokeApiKey, rotateApiKey, setLimits, updateApiKey } from './routes/admin.ts';
import { answerGeneration } from './routes/answer-generation.ts';
import { chatCompletions } from './routes/chat-completions.ts';
import { classify } from './routes/classify.ts';
import { createClientSecret, revokeClientSecret } from './routes/client-secrets.ts';
import { completions } from './routes/completions.ts';
import { createContinuer } from './routes/continue-answer.ts';
import {
  addConversationItems,
  createConversation,
  deleteConversation,
  deleteConversationItem,
  getConversation,
  getConversationItem,
  listConversationItems,
  updateConversation,
} from './routes/conversations.ts';
import { createEmbeddings } from './routes/embeddings.ts';
import { listEndpoints } from './routes/endpoints.ts';
import { forgetUser } from './routes/forget-user.ts';
import { getModel, listModels } from './routes/models.ts';
import { moderate } from './routes/moderations.ts';
import { showDocs, showOpenApi } from './routes/openapi.ts';
import { acknowledgeGeneration, cancelGeneration, deleteGeneration, readEvents } from './routes/replay-answer.ts';
import { rerank, score } from './routes/rerank.ts';
import { cancelResponse, countInputTokens, createResponse, deleteResponse, getResponse, listInputItems } from './routes/responses.ts';
import { deleteSafetyPolicy, getSafetyPolicy, getSafetyPolicyVersion, setSafetyPolicy } from './routes/safety-policies.ts';
import { detokenize, tokenize } from './routes/tokenize.ts';
import { getUsage } from './routes/usage.ts';
import { showVersion } from './routes/version.ts';
import type { Services } from './services.ts';

const SCORE_PATHS = ['/score', '/v1/score'];
const RERANK_PATHS = ['/rerank', '/v1/rerank', '/v2/rerank'];
/** vLLM's paths outside of `/v1`, behind the same door. */
const UNVERSIONED = ['/tokenize', '/detokenize', '/score', '/rerank', '/v2/rerank'];

const POST_ONLY = [
  ...[
    '/v1/chat/completions',
    '/v1/completions',
    '/v1/embeddings',
    '/v1/classify',
    '/v1/moderations',
    '/tokenize',
    '/detokenize',
    ...SCORE_PATHS,
    ...RERANK_PATHS,
  ],
  ...['/v1/responses', '/v1/responses/input_tokens', '/v1/responses/:id/cancel', '/v1/conversations'],
];

export type App = Hono<{ Variables: RequestVariables }>;

/** Everything a caller can call, in the order in which a request meets it. */
export function createApp(services: Services, config: GatewayConfig, isDraining: () => boolean = () => false): App {
  const app: App = new Hono<{ Variables: RequestVariables }>();

  const room = createRoom(services, config);
  const goOn = createContinuer(room);
  room.logs.goOnWith(goOn);
  if (config.recovers) startRecovery(room, goOn);
  const priors = new PriorCache();

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
  app.get('/.well-known/jwks.json', async (c) => c.json(await room.clientSecrets.signingKeys.jwks()));
  app.get('/readyz', (c) => {
    if (isDraining()) throw new DrainingError();
    return c.json({ status: 'ready' });
  });

  for (const path of ['/v1/*', ...UNVERSIONED]) {
    app.use(
      path,
      verifyOrigin(config.originSecretHash),
      limitBody(config.maxBodyBytes),
      authenticate(room.keys, room.clientSecrets, room.oidcUsers, createPublicOrigin(config)),
    );
  }
  const generate = requireScope('generate');
  app.post('/v1/chat/completions', generate, (c) => answerGeneration(c, room, chatCompletions));
  app.post('/v1/completions', generate, (c) => answerGeneration(c, room, completions));
  app.get('/v1/models', (c) => c.json(listModels(services.models, config.embeddingModels)));
  app.get('/v1/models/:id{.+}', (c) => c.json(getModel(services.models, config.embeddingModels, c.req.param('id'))));

  app.post('/v1/embeddings', generate, async (c) => c.json(await createEmbeddings(c, room)));
  app.post('/v1/moderations', async (c) => c.json(await moderate(c, room)));
  app.post('/v1/classify', generate, async (c) => c.json(await classify(c, room, priors)));
  for (const path of SCORE_PATHS) app.post(path, generate, async (c) => c.json(await score(c, room)));
  for (const path of RERANK_PATHS) app.post(path, generate, async (c) => c.json(await rerank(c, room)));
  app.post('/tokenize', async (c) => c.json(await tokenize(c, services)));
  app.post('/detokenize', async (c) => c.json(await detokenize(c, services)));
  app.get('/version', (c) => c.json(showVersion()));
  app.get('/openapi.json', showOpenApi);
  app.get('/docs', showDocs);

  app.post('/v1/responses', generate, (c) => createResponse(c, room));
  app.post('/v1/responses/input_tokens', async (c) => c.json(await countInputTokens(c, services)));
  app.post('/v1/responses/compact', (c) => c.notFound()); // no response of this name: a path of OpenAI's that is not served
  app.get('/v1/responses/:id', (c) => getResponse(c, room));
  app.delete('/v1/responses/:id', (c) => deleteResponse(c, room));
  app.post('/v1/responses/:id/cancel', (c) => cancelResponse(c, room));
  app.get('/v1/responses/:id/input_items', async (c) => c.json(await listInputItems(c, room)));
  app.post('/v1/conversations', async (c) => c.json(await createConversation(c, room)));
  app.get('/v1/conversations/:id', async (c) => c.json(await getConversation(c, services)));
  app.post('/v1/conversations/:id', async (c) => c.json(await updateConversation(c, room)));
  app.delete('/v1/conversations/:id', async (c) => c.json(await deleteConversation(c, services)));
  app.post('/v1/conversations/:id/items', async (c) => c.json(await addConversationItems(c, room)));
  app.get('/v1/conversations/:id/items', async (c) => c.json(await listConversationItems(c, services)));
  app.get('/v1/conversations/:id/items/:item', async (c) => c.json(await getConversationItem(c, services)));
  app.delete('/v1/conversations/:id/items/:item', async (c) => c.json(await deleteConversationItem(c, services)));

  const admin = requireScope('admin');
  app.post('/v1/admin/api_keys', admin, (c) => createApiKey(c, room));
  app.get('/v1/admin/api_keys', admin, (c) => listApiKeys(c, room));
  app.post('/v1/admin/api_keys/:id', admin, (c) => updateApiKey(c, room));
  app.delete('/v1/admin/api_keys/:id', admin, (c) => revokeApiKey(c, room));
  app.post('/v1/admin/api_keys/:id/rotate', admin, (c) => rotateApiKey(c, room));
  for (const owner of ['project', 'organization'] as const) {
    app.get(`/v1/admin/${owner}s/:id/limits`, admin, (c) => getLimits(c, room, owner));
    app.put(`/v1/admin/${owner}s/:id/limits`, admin, (c) => setLimits(c, room, owner));
  }
  app.get('/v1/admin/endpoints', admin, (c) => listEndpoints(c, room));
  app.post('/v1/admin/users/forget', admin, (c) => forgetUser(c, room));
  for (const [path, scope] of [
    ['projects/:id', 'project'],
    ['organizations/:id', 'organization'],
    ['', 'default'],
  ] as const) {
    const url = `/v1/admin/${path}/safety_policy`.replace('//', '/');
    app.get(url, admin, (c) => getSafetyPolicy(c, room, scope));
    app.put(url, admin, (c) => setSafetyPolicy(c, room, scope));
    app.delete(url, admin, (c) => deleteSafetyPolicy(c, room, scope));
  }
  app.get('/v1/admin/safety_policies/:digest', admin, (c) => getSafetyPolicyVersion(c, room));
  const clients = requireScope('client_secrets');
  app.post('/v1/client_secrets', clients, (c) => createClientSecret(c, room));
  app.delete('/v1/client_secrets/:id', clients, (c) => revokeClientSecret(c, room));
  app.get('/v1/usage', (c) => getUsage(c, room));
  app.get('/v1/generations/:id/events', (c) => readEvents(c, room));
  app.delete('/v1/generations/:id', (c) => deleteGeneration(c, room));
  app.post('/v1/generations/:id/cancel', (c) => cancelGeneration(c, room));
  app.post('/v1/generations/:id/acknowledge', (c) => acknowledgeGeneration(c, room));

  for (const path of POST_ONLY) refuseOtherMethods(app, path, ['POST']);
  refuseOtherMethods(app, '/v1/responses/:id', ['GET', 'DELETE']);
  refuseOtherMethods(app, '/v1/conversations/:id', ['GET', 'POST', 'DELETE']);
  refuseOtherMethods(app, '/v1/conversations/:id/items', ['GET', 'POST']);
  refuseOtherMethods(app, '/v1/conversations/:id/items/:item', ['GET', 'DELETE']);
  for (const path of [
    '/v1/models',
    '/v1/models/:id{.+}',
    '/v1/responses/:id/input_items',
    '/version',
    '/openapi.json',
    '/docs',
    '/healthz',
    '/readyz',
  ])
    refuseOtherMethods(app, path, ['GET', 'HEAD']);
  return app;
}

function refuseOtherMethods(app: App, path: string, allowed: readonly string[]): void {
  app.all(path, (c) => {
    throw new MethodNotAllowedError(c.req.method, c.req.path, allowed);
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
