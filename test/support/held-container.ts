import { type ScriptedContainer, startScriptedContainer } from './scripted-container.ts';
import { toyAnswer } from './toy-container.ts';

/** The toy model in a container whose answers stand still when the test wants it. */
export interface HeldContainer extends ScriptedContainer {
  /** From now on answers stand still after so many ids, until they are let go. */
  holdAfter(ids: number): void;
  release(): void;
}

export async function startHeldContainer(): Promise<HeldContainer> {
  let held: { readonly after: number; readonly gate: PromiseWithResolvers<void> } | undefined;
  const container = await startScriptedContainer();
  container.play(async (response, request) => {
    const { prompt, max_tokens: maxTokens } = JSON.parse(request.body) as { prompt: number[]; max_tokens: number };
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const [index, id] of toyAnswer(prompt, maxTokens).entries()) {
      if (held !== undefined && index >= held.after) await held.gate.promise;
      if (response.destroyed) return;
      const choice = { index: 0, text: '', logprobs: null, finish_reason: index + 1 === maxTokens ? 'length' : null, token_ids: [id] };
      response.write(`data: ${JSON.stringify({ choices: [choice] })}\n\n`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end('data: [DONE]\n\n');
  });
  const release = () => {
    held?.gate.resolve();
    held = undefined;
  };
  return {
    ...container,
    holdAfter(after) {
      held = { after, gate: Promise.withResolvers() };
    },
    release,
    async [Symbol.asyncDispose]() {
      release();
      await container[Symbol.asyncDispose]();
    },
  };
}
