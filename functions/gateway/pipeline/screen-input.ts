import { UnknownTokenError } from '../../../layers/tokenizer/index.ts';
import { InvalidRequestError } from '../errors.ts';
import type { Room } from '../generation/room.ts';
import { InputScreen } from '../safety/screen-messages.ts';
import { type Screening, startScreening } from '../safety/screening.ts';
import { writeVerdicts } from '../safety/verdict-log.ts';
import type { LoadedModel } from '../served-models.ts';
import type { GenerationRequest, Prompt } from './generation-request.ts';
import type { Admission } from './run-generation.ts';

export interface ScreenedPrompts {
  readonly prompts: readonly Prompt[];
  readonly screening: Screening;
}

/**
 * Judges what was sent, message by message and tool result by tool result, before anything is held or charged, by the policy of the caller's
 * project. What the policy redacts never reaches the model; what it masks comes back in the answer. Without a policy everything passes.
 * @throws {ContentBlockedError} the policy blocks it. @throws {SafetyUnavailableError} it must be judged and cannot be.
 */
export async function screenInput(
  room: Room,
  { caller, screening }: Admission,
  model: LoadedModel,
  request: GenerationRequest,
  signal: AbortSignal,
): Promise<ScreenedPrompts> {
  // One request that takes several generations is screened once.
  if (screening !== undefined) return { prompts: request.prompts, screening };
  const safety = await room.policies.find(caller);
  if (safety === undefined) return { prompts: request.prompts, screening: startScreening() };
  const screen = new InputScreen(safety, request.promptParam, signal);
  try {
    const prompts: Prompt[] = [];
    for (const prompt of request.prompts) prompts.push(await screenPrompt(screen, prompt, model, request, () => room.ids.create('')));
    return { prompts, screening: screen.screening };
  } finally {
    writeVerdicts(room.log, 'input', request.requestId, screen.verdicts.verdicts);
  }
}

async function screenPrompt(
  screen: InputScreen,
  prompt: Prompt,
  model: LoadedModel,
  request: GenerationRequest,
  createId: () => string,
): Promise<Prompt> {
  switch (prompt.type) {
    case 'messages':
      return { type: 'messages', messages: await screen.rewriteMessages(prompt.messages, () => createId().replace(/[^A-Za-z0-9]/g, '')) };
    case 'text':
      return { type: 'text', text: await screen.rewrite('user', prompt.text) };
    case 'tokens': {
      const text = decodePrompt(model, prompt.tokenIds, request.promptParam);
      if (text === undefined || (await screen.rewrite('user', text)) === text) return prompt;
      throw new InvalidRequestError(
        `\`${request.promptParam}\` holds something that the safety policy hides from models, which cannot be cut out of token ids. Send text.`,
        { param: request.promptParam, code: 'content_policy_violation' },
      );
    }
  }
}

/** What the ids say; undefined for ids that the vocabulary lacks, which the next step refuses. */
function decodePrompt({ tokenizer }: LoadedModel, tokenIds: readonly number[], param: string): string | undefined {
  if (tokenIds.some((tokenId) => tokenId >= tokenizer.vocabularySize)) return undefined;
  try {
    return tokenizer.decode(tokenIds, { skipSpecialTokens: true });
  } catch (error) {
    if (!(error instanceof UnknownTokenError)) throw error;
    throw new InvalidRequestError(`\`${param}\` has a token id that stands for no text: it cannot be judged.`, { param, cause: error });
  }
}
