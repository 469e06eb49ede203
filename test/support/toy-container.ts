import { setTimeout as sleep } from 'node:timers/promises';
import { type ScriptedContainer, startScriptedContainer } from './scripted-container.ts';
import { nextToyId } from './toy-endpoint.ts';

/** The toy model in a container, over real HTTP: an id every so many milliseconds. Stops when its caller is gone. */
export async function startToyContainer(pauseMs: number): Promise<ScriptedContainer> {
  const container = await startScriptedContainer();
  container.play(async (response, request) => {
    const { prompt, max_tokens: maxTokens } = JSON.parse(request.body) as { prompt: number[]; max_tokens: number };
    const ids = [...prompt];
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let count = 1; count <= maxTokens && !response.destroyed; count += 1) {
      await sleep(pauseMs);
      const id = nextToyId(ids);
      ids.push(id);
      const choice = { index: 0, text: '', logprobs: null, finish_reason: count === maxTokens ? 'length' : null, token_ids: [id] };
      response.write(`data: ${JSON.stringify({ choices: [choice] })}\n\n`);
    }
    response.end('data: [DONE]\n\n');
  });
  return container;
}

/** What the model says after these ids, uninterrupted. */
export function toyAnswer(prompt: readonly number[], length: number): readonly number[] {
  const ids = [...prompt];
  for (let count = 0; count < length; count += 1) ids.push(nextToyId(ids));
  return ids.slice(prompt.length);
}
