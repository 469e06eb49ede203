import type { InvokeEndpointWithResponseStreamCommandInput } from '@aws-sdk/client-sagemaker-runtime';
import type { CompletionInvocationInput } from '../../models/invocation.ts';
import type { EndpointRequest, Grammar } from '../gateway/services.ts';

/** What SageMaker takes as an inference id; an id of another form is only in the body. */
const INFERENCE_ID = /^[\x21-\x7e]{1,64}$/;

/** A request in the words of SageMaker and, in its body, of vLLM's completions. */
export function encodeRequest(request: EndpointRequest): InvokeEndpointWithResponseStreamCommandInput {
  const { target, requestId } = request;
  // In SageMaker an adapter is an inference component on top of its base: the endpoint turns its name into the container's adapter header.
  const inferenceComponent = target.adapter ?? target.inferenceComponent;
  return {
    EndpointName: target.endpointName,
    ContentType: 'application/json',
    Body: Buffer.from(JSON.stringify(encodeBody(request))),
    ...(inferenceComponent === undefined ? {} : { InferenceComponentName: inferenceComponent }),
    ...(target.variant === undefined ? {} : { TargetVariant: target.variant }),
    ...(INFERENCE_ID.test(requestId) ? { InferenceId: requestId } : {}),
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
