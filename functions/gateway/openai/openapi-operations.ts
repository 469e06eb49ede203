/** Every operation that the OpenAPI document describes: its path, the schema of its body, and whose document describes the answer. */
import * as v from 'valibot';
import { safetyPolicySchema } from '../../../layers/safety/index.ts';
import { limitsSchema } from '../keys/limits.ts';
import { createKeySchema, forgetUserSchema, rotateKeySchema, updateKeySchema } from './admin-request.ts';
import { chatSchema } from './chat-request.ts';
import { classifySchema } from './classify-request.ts';
import { completionSchema } from './completion-request.ts';
import { conversationSchema, conversationUpdateSchema, newItemsSchema } from './conversation-request.ts';
import { embeddingSchema, rerankSchema, scoreSchema } from './embedding-request.ts';
import { moderationSchema } from './moderation.ts';
import { inputTokensSchema, responseSchema } from './responses-request.ts';
import { detokenizeSchema, tokenizeSchema } from './tokenize-request.ts';
import { usageAnswerSchema, usageQuerySchema } from './usage.ts';

export interface Operation {
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** In OpenAPI's form: `{id}`. */
  readonly path: string;
  readonly group: 'Text' | 'Responses' | 'Conversations' | 'Tasks' | 'Tokens' | 'Models' | 'Administration';
  readonly summary: string;
  readonly schema?: v.GenericSchema;
  /** Whose document describes the answer, or its schema where it is nobody's but ours. */
  readonly answer: string | v.GenericSchema;
  readonly query?: readonly string[];
  readonly streams?: boolean;
}

const OPENAI = 'https://platform.openai.com/docs/api-reference';
const VLLM = 'https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html';
const PAGE = ['limit', 'order', 'after'];
const ANY = v.looseObject({});

export const operations: readonly Operation[] = [
  {
    method: 'post',
    path: '/v1/chat/completions',
    group: 'Text',
    summary: 'Answers a dialogue',
    schema: chatSchema,
    answer: `${OPENAI}/chat/object`,
    streams: true,
  },
  {
    method: 'post',
    path: '/v1/completions',
    group: 'Text',
    summary: 'Continues a text',
    schema: completionSchema,
    answer: `${OPENAI}/completions/object`,
    streams: true,
  },
  {
    method: 'post',
    path: '/v1/responses',
    group: 'Responses',
    summary: 'Makes a response',
    schema: responseSchema,
    answer: `${OPENAI}/responses/object`,
    streams: true,
  },
  {
    method: 'get',
    path: '/v1/responses/{id}',
    group: 'Responses',
    summary: 'A stored response; with `stream=true` the events of one that was made in the background',
    answer: `${OPENAI}/responses/object`,
    query: ['stream', 'starting_after'],
    streams: true,
  },
  { method: 'delete', path: '/v1/responses/{id}', group: 'Responses', summary: 'Deletes a response', answer: `${OPENAI}/responses/delete` },
  {
    method: 'post',
    path: '/v1/responses/{id}/cancel',
    group: 'Responses',
    summary: 'Cancels a response in the background',
    answer: `${OPENAI}/responses/cancel`,
  },
  {
    method: 'get',
    path: '/v1/responses/{id}/input_items',
    group: 'Responses',
    summary: 'What a response has read',
    answer: `${OPENAI}/responses/input-items`,
    query: PAGE,
  },
  {
    method: 'post',
    path: '/v1/responses/input_tokens',
    group: 'Responses',
    summary: 'Counts the tokens that a response would read',
    schema: inputTokensSchema,
    answer: `${OPENAI}/responses/input-tokens`,
  },
  {
    method: 'post',
    path: '/v1/conversations',
    group: 'Conversations',
    summary: 'Begins a conversation',
    schema: conversationSchema,
    answer: `${OPENAI}/conversations/object`,
  },
  {
    method: 'get',
    path: '/v1/conversations/{id}',
    group: 'Conversations',
    summary: 'A conversation',
    answer: `${OPENAI}/conversations/object`,
  },
  {
    method: 'post',
    path: '/v1/conversations/{id}',
    group: 'Conversations',
    summary: 'Changes its metadata',
    schema: conversationUpdateSchema,
    answer: `${OPENAI}/conversations/object`,
  },
  {
    method: 'delete',
    path: '/v1/conversations/{id}',
    group: 'Conversations',
    summary: 'Deletes it with its items',
    answer: `${OPENAI}/conversations/delete`,
  },
  {
    method: 'get',
    path: '/v1/conversations/{id}/items',
    group: 'Conversations',
    summary: 'Its items',
    answer: `${OPENAI}/conversations/list-items`,
    query: PAGE,
  },
  {
    method: 'post',
    path: '/v1/conversations/{id}/items',
    group: 'Conversations',
    summary: 'Adds items',
    schema: newItemsSchema,
    answer: `${OPENAI}/conversations/create-items`,
  },
  {
    method: 'get',
    path: '/v1/conversations/{id}/items/{item}',
    group: 'Conversations',
    summary: 'One item',
    answer: `${OPENAI}/conversations/get-item`,
  },
  {
    method: 'delete',
    path: '/v1/conversations/{id}/items/{item}',
    group: 'Conversations',
    summary: 'Deletes one item',
    answer: `${OPENAI}/conversations/delete-item`,
  },
  {
    method: 'post',
    path: '/v1/moderations',
    group: 'Tasks',
    summary: 'Judges texts: categories, personal data, secrets, prompt injection',
    schema: moderationSchema,
    answer: `${OPENAI}/moderations/object`,
  },
  {
    method: 'post',
    path: '/v1/classify',
    group: 'Tasks',
    summary: 'Classifies texts into labels of the caller, or by sentiment, with calibrated probabilities',
    schema: classifySchema,
    answer: `${VLLM}#classification-api`,
  },
  {
    method: 'post',
    path: '/v1/embeddings',
    group: 'Tasks',
    summary: 'Embeds texts',
    schema: embeddingSchema,
    answer: `${OPENAI}/embeddings/object`,
  },
  { method: 'post', path: '/v1/score', group: 'Tasks', summary: 'How alike texts are', schema: scoreSchema, answer: `${VLLM}#score-api` },
  { method: 'post', path: '/v1/rerank', group: 'Tasks', summary: 'Ranks documents', schema: rerankSchema, answer: `${VLLM}#re-rank-api` },
  {
    method: 'post',
    path: '/tokenize',
    group: 'Tokens',
    summary: 'The ids that a model reads',
    schema: tokenizeSchema,
    answer: `${VLLM}#tokenizer-api`,
  },
  {
    method: 'post',
    path: '/detokenize',
    group: 'Tokens',
    summary: 'The text of ids',
    schema: detokenizeSchema,
    answer: `${VLLM}#tokenizer-api`,
  },
  { method: 'get', path: '/v1/models', group: 'Models', summary: 'The models that are served', answer: `${OPENAI}/models/list` },
  { method: 'get', path: '/v1/models/{id}', group: 'Models', summary: 'One model', answer: `${OPENAI}/models/object` },
  {
    method: 'get',
    path: '/v1/usage',
    group: 'Administration',
    summary: 'What was used: a line for each generation, or sums; with `format=csv` as a table',
    answer: usageAnswerSchema,
    query: Object.keys(usageQuerySchema.entries),
  },
  { method: 'get', path: '/v1/admin/api_keys', group: 'Administration', summary: 'The API keys, without their secrets', answer: ANY },
  {
    method: 'post',
    path: '/v1/admin/api_keys',
    group: 'Administration',
    summary: 'Makes an API key: the answer alone has its secret',
    schema: createKeySchema,
    answer: ANY,
  },
  {
    method: 'post',
    path: '/v1/admin/api_keys/{id}',
    group: 'Administration',
    summary: 'Changes what is named of a key',
    schema: updateKeySchema,
    answer: ANY,
  },
  { method: 'delete', path: '/v1/admin/api_keys/{id}', group: 'Administration', summary: 'Revokes a key', answer: ANY },
  {
    method: 'post',
    path: '/v1/admin/api_keys/{id}/rotate',
    group: 'Administration',
    summary: 'Gives a key another secret; the old one is good for `grace_seconds` more',
    schema: rotateKeySchema,
    answer: ANY,
  },
  {
    method: 'get',
    path: '/v1/admin/endpoints',
    group: 'Administration',
    summary: 'What runs behind each model: copies, since when, and why not',
    answer: ANY,
  },
  {
    method: 'post',
    path: '/v1/admin/users/forget',
    group: 'Administration',
    summary: 'Deletes everything that is kept of one end user: generations, responses and conversations',
    schema: forgetUserSchema,
    answer: ANY,
  },
  ...(['project', 'organization'] as const).flatMap((owner): Operation[] => [
    { method: 'get', path: `/v1/admin/${owner}s/{id}/limits`, group: 'Administration', summary: `Limits of the ${owner}`, answer: ANY },
    {
      method: 'put',
      path: `/v1/admin/${owner}s/{id}/limits`,
      group: 'Administration',
      summary: `Sets the limits of the ${owner}`,
      schema: limitsSchema,
      answer: ANY,
    },
  ]),
  ...['projects/{id}/', 'organizations/{id}/', ''].flatMap((owner): Operation[] => {
    const path = `/v1/admin/${owner}safety_policy`;
    return [
      { method: 'get', path, group: 'Administration', summary: 'What is done about unsafe text', answer: ANY },
      { method: 'put', path, group: 'Administration', summary: 'Sets the safety policy', schema: safetyPolicySchema, answer: ANY },
      { method: 'delete', path, group: 'Administration', summary: 'Removes the safety policy: what stands above it holds', answer: ANY },
    ];
  }),
  {
    method: 'get',
    path: '/v1/admin/safety_policies/{digest}',
    group: 'Administration',
    summary: 'The safety policy that judged a generation, by its digest in the ledger',
    answer: ANY,
  },
];
