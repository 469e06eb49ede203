import type { LocalSettings } from './settings.ts';
import type { LocalStack } from './stack.ts';

/** What a person reads when the stack is up: where, with which key, and a request to paste. */
export function welcome(settings: LocalSettings, stack: LocalStack, seconds: number): string {
  const host = settings.host === '0.0.0.0' || settings.host === '::' ? 'localhost' : settings.host;
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${settings.port}/v1`;
  const [model] = stack.catalog;
  const key = settings.apiKey === undefined ? 'sk-local' : '$PENSTOCK_API_KEY';
  const sdkKey = settings.apiKey === undefined ? "'sk-local'" : 'process.env.PENSTOCK_API_KEY';
  return `
Penstock is ready (${seconds.toFixed(1)} s).

  URL      ${url}
  API key  ${settings.apiKey === undefined ? 'sk-local' : 'the one in PENSTOCK_API_KEY'}
  Model    ${model?.id} (${model?.contextLength} tokens)
  Metrics  ${stack.metricsUrl}
  Logs     ${stack.logFolder}

Try it:

  curl -N ${url}/chat/completions \\
    -H "authorization: Bearer ${key}" -H 'content-type: application/json' \\
    -d '{"model": "${model?.id}", "stream": true, "messages": [{"role": "user", "content": "What is the capital of France?"}]}'

Or, with npm install openai:

  import OpenAI from 'openai';
  const client = new OpenAI({ baseURL: '${url}', apiKey: ${sdkKey} });
  const stream = await client.chat.completions.create({
    model: '${model?.id}', messages: [{ role: 'user', content: 'What is the capital of France?' }], stream: true,
  });
  for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '');

Ctrl-C stops it.
`;
}
