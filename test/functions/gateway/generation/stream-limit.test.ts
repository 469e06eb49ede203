import { expect, it } from 'vitest';
import { createSageMakerEndpoint } from '../../../../functions/drivers/sagemaker-endpoint.ts';
import { createGenerationGateway, MODEL, PROMPT, readStream } from '../../../support/generation-gateway.ts';
import { startTestRuntime } from '../../../support/sagemaker-runtime.ts';
import { startToyContainer } from '../../../support/toy-container.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const LENGTH = 400;

it('goes on unseen when an answer outlasts the time that SageMaker gives a stream', async () => {
  const whole = await (await createGenerationGateway(new ToyEndpoint())).complete({ max_tokens: LENGTH, stream: true });
  const expected = await readStream(whole);
  await using container = await startToyContainer(4);
  // Eight minutes in AWS.
  await using runtime = await startTestRuntime({
    endpoints: { 'penstock-gpt': { inferenceComponents: { [MODEL]: { containers: [container.url] } } } },
    streamSeconds: 0.6,
  });
  const endpoint = createSageMakerEndpoint({ client: runtime.client });
  const gateway = await createGenerationGateway(endpoint);
  const answers = await Promise.all(
    // Several streams come to their limit at once: that is no sign of an endpoint that fails.
    Array.from({ length: 4 }, () => gateway.complete({ max_tokens: LENGTH, stream: true, stream_options: { include_usage: true } })),
  );
  for (const answer of answers) {
    const { text, finishReason, error, bytes } = await readStream(answer);
    expect({ text, finishReason, error }).toEqual({ text: expected.text, finishReason: 'length', error: undefined });
    const ids = [...bytes.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));
    expect(ids).toEqual(ids.map((_, index) => index + 1));
    expect(new Set([...bytes.matchAll(/"id":"(cmpl-[^"]+)"/g)].map((match) => match[1])).size).toBe(1);
    expect(bytes).toContain(`"usage":{"prompt_tokens":${PROMPT.length},"completion_tokens":${LENGTH},`);
    expect(bytes.endsWith('data: [DONE]\n\n')).toBe(true);
  }
  const usage = await gateway.usage();
  expect(usage).toHaveLength(answers.length);
  for (const line of usage) {
    expect(line).toMatchObject({ status: 'completed', prompt_tokens: PROMPT.length, completion_tokens: LENGTH });
    expect(line.attempts).toBeGreaterThanOrEqual(3);
  }
  const reasons = gateway.logged.filter(({ event }) => event === 'endpoint-call-failed').map(({ fields }) => fields);
  for (const reason of reasons) expect(reason).toMatchObject({ reason: 'time-exceeded' });
  endpoint.close();
});
