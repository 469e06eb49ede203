import { parseChatRequest } from '../openai/chat-request.ts';
import { encodeChatChunks, encodeChatCompletion } from '../openai/chat-response.ts';
import type { GenerationFormat } from './answer-generation.ts';

/** `POST /v1/chat/completions` */
export const chatCompletions: GenerationFormat = {
  name: 'chat-completions',
  idPrefix: 'chatcmpl-',
  parse: parseChatRequest,
  encodeWhole: encodeChatCompletion,
  encodeChunks: encodeChatChunks,
};
