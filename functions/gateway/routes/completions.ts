import { parseCompletionRequest } from '../openai/completion-request.ts';
import { encodeCompletion, encodeCompletionChunks } from '../openai/completion-response.ts';
import type { GenerationFormat } from './answer-generation.ts';

/** `POST /v1/completions` */
export const completions: GenerationFormat = {
  name: 'completions',
  idPrefix: 'cmpl-',
  parse: parseCompletionRequest,
  encodeWhole: encodeCompletion,
  encodeChunks: encodeCompletionChunks,
};
