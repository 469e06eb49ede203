import type { InvokeEndpointCommandInput, InvokeEndpointWithResponseStreamCommandInput } from '@aws-sdk/client-sagemaker-runtime';
import type { CompletionInvocationInput, EmbeddingInvocationInput } from '../../models/invocation.ts';
import type { EmbeddingRequest, EndpointRequest, EndpointTarget, Grammar, ScoringRequest } from '../gateway/services.ts';

/** What SageMaker takes as an inference id; an id of another form is only in the body. */
const INFERENCE_ID = /^[\x21-\x7e]{1,64}$/;

/** A request in the words of SageMaker and, in its body, of vLLM's completions. */
export function encodeRequest(request: EndpointRequest): InvokeEndpointWithResponseStreamCommandInput {
  return encodeInvocation(request, encodeBody(request));
}

/** The same body for an answer in one piece, which nobody reads while it is made. */
export function encodeWholeBody(request: EndpointRequest): Uint8Array {
  const { stream_options: _, ...body } = encodeBody(request);
  return Buffer.from(JSON.stringify({ ...body, stream: false }));
}

/** Nothing is generated: the prompt's own tokens are what is asked about. */
export function encodeScoring(request: ScoringRequest): InvokeEndpointCommandInput {
  const body: CompletionInvocationInput = {
    prompt: request.prompts.map((prompt) => [...prompt]),
    stream: false,
    echo: true,
    max_tokens: 0,
    prompt_logprobs: request.topLogprobs,
    request_id: request.requestId,
  };
  return encodeInvocation(request, body);
}

export function encodeEmbedding(request: EmbeddingRequest): InvokeEndpointCommandInput {
  const input = isTexts(request.input) ? [...request.input] : request.input.map((tokenIds) => [...tokenIds]);
  return encodeInvocation(request, { input, encoding_format: 'base64', request_id: request.requestId });
}

function isTexts(input: EmbeddingRequest['input']): input is readonly string[] {
  return typeof input[0] === 'string';
}

function encodeInvocation(
  { target, requestId, sessionId }: { readonly target: EndpointTarget; readonly requestId: string; readonly sessionId?: string },
  body: CompletionInvocationInput | EmbeddingInvocationInput,
) {
  // In SageMaker an adapter is an inference component on top of its base: the endpoint turns its name into the container's adapter header.
  const inferenceComponent = target.adapter ?? target.inferenceComponent;
  return {
    EndpointName: target.endpointName,
    ContentType: 'application/json',
    Body: Buffer.from(JSON.stringify(body)),
    ...(inferenceComponent === undefined ? {} : { InferenceComponentName: inferenceComponent }),
    ...(target.variant === undefined ? {} : { TargetVariant: target.variant }),
    ...(INFERENCE_ID.test(requestId) ? { InferenceId: requestId } : {}),
    // Heeded by endpoints with PREFIX_AWARE routing alone. `SessionId` is for containers that keep sessions: others refuse it.
    ...(sessionId === undefined ? {} : { PrefixAwareId: sessionId }),
  };
}

function encodeBody(request: EndpointRequest): CompletionInvocationInput {
  const { sampling, topLogprobs } = request;
  return {
    prompt: [...request.promptTokenIds],
    stream: true,
    stream_options: { include_usage: true },
    return_token_ids: true,
    request_id: request.requestId,
    max_tokens: request.maxTokens,
    stop_token_ids: [...request.stopTokenIds],
    temperature: sampling.temperature,
    top_p: sampling.topP,
    ...(sampling.topK === undefined ? {} : { top_k: sampling.topK }),
    ...(sampling.seed === undefined ? {} : { seed: sampling.seed }),
    ...(sampling.frequencyPenalty === undefined ? {} : { frequency_penalty: sampling.frequencyPenalty }),
    ...(sampling.presencePenalty === undefined ? {} : { presence_penalty: sampling.presencePenalty }),
    ...(sampling.logitBias === undefined ? {} : { logit_bias: Object.fromEntries(sampling.logitBias) }),
    ...(request.grammar === undefined ? {} : { structured_outputs: encodeGrammar(request.grammar) }),
    ...(topLogprobs === undefined ? {} : { logprobs: topLogprobs, return_tokens_as_token_ids: true }),
  };
}

function encodeGrammar(grammar: Grammar): NonNullable<CompletionInvocationInput['structured_outputs']> {
  switch (grammar.type) {
    case 'json-object':
      return { json_object: true };
    case 'json-schema':
      return { json: { ...grammar.schema } };
  }
}
