/**
 * Runs when a function is bundled, on the Node that it is bundled for: `node ... MODEL URL_OF_INDEX_MJS`. Starts the function as Lambda does, makes
 * it answer a request if it is one that answers any, and writes what V8 has compiled for both beside the bundle.
 */
import { codeCacheFile, compileBundle } from './load-bundle.ts';

const [model = '', url = ''] = process.argv.slice(-2);
const REQUEST = {
  version: '2.0',
  rawPath: '/v1/chat/completions',
  headers: { authorization: 'Bearer none', 'content-type': 'application/json' },
  requestContext: { domainName: 'localhost', http: { method: 'POST' } },
  body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello' }], max_tokens: 1, stream: true }),
};

type Handler = (event: object, stream: object, context: object) => Promise<void>;
let answer: Handler | undefined;
let status = 200;
const lambda = {
  streamifyResponse(handler: Handler) {
    answer = handler;
    return handler;
  },
  HttpResponseStream: {
    from(stream: object, { statusCode }: { readonly statusCode: number }) {
      status = statusCode;
      return stream;
    },
  },
};
Object.assign(globalThis, { awslambda: lambda });

/** Where a web function listens: it says so in its log. */
let port: string | undefined;
process.stdout.write = (text: string | Uint8Array) => {
  port ??= /"event":"listening".*"port":(\d+)/.exec(String(text))?.[1];
  return true;
};

const bundle = compileBundle(url);
await bundle.start();
const stream = { write: () => true, end: (done: () => void) => done(), on() {}, off() {} };
await answer?.(REQUEST, stream, { awsRequestId: 'none', getRemainingTimeInMillis: () => 60_000 });
if (port !== undefined) {
  const { headers, body } = REQUEST;
  const response = await fetch(`http://127.0.0.1:${port}${REQUEST.rawPath}`, { method: 'POST', headers, body });
  await response.text();
  ({ status } = response);
}
if (status !== 200) throw new Error(`The bundled function answers its first request with ${status}.`);
process.getBuiltinModule('node:fs').writeFileSync(new URL(codeCacheFile(), url), bundle.createCodeCache());
process.exit(0); // a web function would go on listening
