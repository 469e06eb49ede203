import type { LoadedModel } from '../served-models.ts';
import type { Grammar } from '../services.ts';
import type { GenerationRequest } from './generation-request.ts';
import type { OutputParser } from './output-parsers/output-part.ts';
import { createPlainTextParser } from './output-parsers/plain-text.ts';
import { createReasoningParser } from './output-parsers/reasoning.ts';
import { planTools } from './tools.ts';

/** What an answer's text is constrained to, and how it is read. */
export interface OutputPlan {
  readonly grammar: Grammar | undefined;
  createParser(): OutputParser;
}

export function planOutput(model: LoadedModel, request: GenerationRequest): OutputPlan {
  const { toolCalls, reasoning } = model.served.output ?? {};
  const tools = request.toolUse === undefined ? undefined : planTools(request.toolUse, toolCalls);
  const grammar = tools?.grammar ?? request.grammar;
  const createAnswerParser = tools?.createParser ?? createPlainTextParser;
  // A constrained answer has no room for thoughts, and a bare completion is text as it is.
  if (reasoning === undefined || grammar !== undefined || request.promptParam === 'prompt')
    return { grammar, createParser: createAnswerParser };
  return { grammar, createParser: () => createReasoningParser(createAnswerParser(), { startsInside: reasoning === 'think-open' }) };
}
