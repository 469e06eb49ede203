import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { createTestGateway } from '../../support/gateway.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';
import { MODEL } from '../../support/scripted-model.ts';

type Schema = Record<string, unknown>;
interface Document {
  openapi: string;
  paths: Record<string, Record<string, { operationId: string; requestBody?: { content: { 'application/json': { schema: Schema } } } }>>;
}

async function load() {
  const { app } = await createTestGateway(new ScriptedEndpoint(() => []));
  const response = await app.request('/openapi.json');
  expect(response.headers.get('content-type')).toBe('application/json');
  return { app, document: (await response.json()) as Document };
}

const schemaOf = ({ paths }: Document, path: string) => paths[path]?.['post']?.requestBody?.content['application/json'].schema ?? {};

describe('GET /openapi.json', () => {
  it('describes every path that is there, and no other', async () => {
    const { app, document } = await load();
    expect(document.openapi).toBe('3.1.0');
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const method of Object.keys(methods)) {
        // Without a key each path that is there says so; one that is not would be unknown.
        const response = await app.request(path.replaceAll(/\{\w+\}/g, 'x'), { method: method.toUpperCase() });
        expect(response.status, `${method} ${path}`).toBe(401);
      }
    }
    const described = new Set(Object.keys(document.paths).map((path) => path.replaceAll(/\{(\w+)\}/g, ':$1')));
    const served = app.routes
      .filter(({ method, path }) => ['GET', 'POST', 'DELETE'].includes(method) && path.startsWith('/v1/'))
      .map(({ path }) => path.replace('{.+}', ''))
      // What only Penstock's own consoles and clients call is in docs/api.md.
      .filter((path) => !/^\/v1\/(admin|usage|generations|client_secrets|realtime|files|batches|fine_tuning|uploads)/.test(path));
    // One path is there only to say that it is not served.
    expect([...new Set(served)].filter((path) => !described.has(path))).toEqual(['/v1/responses/compact']);
  });

  it('has a name of its own for every operation', async () => {
    const { document } = await load();
    const names = Object.values(document.paths).flatMap((methods) => Object.values(methods).map(({ operationId }) => operationId));
    expect(new Set(names).size).toBe(names.length);
  });

  it('says of requests what the gateway says', async () => {
    const { document } = await load();
    const ajv = new Ajv2020({ strict: false });
    const chat = ajv.compile(schemaOf(document, '/v1/chat/completions'));
    const messages = [{ role: 'user', content: 'x' }];
    expect(chat({ model: MODEL, messages, temperature: 2 })).toBe(true);
    for (const wrong of [
      { model: MODEL },
      { model: MODEL, messages, temperature: 2.1 },
      { model: MODEL, messages, unknown: 1 },
      { model: 5, messages },
    ]) {
      expect(chat(wrong)).toBe(false);
    }
    const responses = ajv.compile(schemaOf(document, '/v1/responses'));
    expect(responses({ model: MODEL, input: 'x' })).toBe(true);
    expect(responses({ model: MODEL, input: [{ role: 'user', content: [{ type: 'input_text', text: 'x' }] }] })).toBe(true);
    expect(responses({ model: MODEL, input: 5 })).toBe(false);
  });
});

describe('GET /docs', () => {
  it('shows every path, runs no script and loads nothing', async () => {
    const { app, document } = await load();
    const response = await app.request('/docs');
    const page = await response.text();
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(page).not.toMatch(/<script|src=/);
    for (const path of Object.keys(document.paths)) expect(page).toContain(`<code>${path}</code>`);
  });
});
