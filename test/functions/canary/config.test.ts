import { describe, expect, it } from 'vitest';
import { loadCanaryConfig } from '../../../functions/canary/config.ts';

const good = {
  CANARY_BASE_URL: 'https://api.example.com/v1/',
  CANARY_MODELS: '["small-chat","tuned"]',
  CANARY_API_KEY_ARN: 'arn:aws:secretsmanager:eu-west-1:111111111111:secret:penstock/canary-api-key',
  CANARY_NAMESPACE: 'Penstock/penstock',
};

describe('the settings of the canary', () => {
  it('are read from the environment', () => {
    expect(loadCanaryConfig({ ...good, CANARY_DEADLINE_SECONDS: '30' })).toEqual({
      baseUrl: 'https://api.example.com/v1',
      models: ['small-chat', 'tuned'],
      apiKeyArn: good.CANARY_API_KEY_ARN,
      namespace: 'Penstock/penstock',
      deadlineMs: 30_000,
    });
  });

  it.each([
    ['an address in the clear', { CANARY_BASE_URL: 'http://api.example.com/v1' }, 'CANARY_BASE_URL'],
    ['a host that only begins like a loopback address', { CANARY_BASE_URL: 'http://127.0.0.1.example.com/v1' }, 'CANARY_BASE_URL'],
    ['no address', { CANARY_BASE_URL: '' }, 'CANARY_BASE_URL'],
    ['models that are no list', { CANARY_MODELS: 'small-chat' }, 'CANARY_MODELS'],
    ['no model', { CANARY_MODELS: '[]' }, 'CANARY_MODELS'],
    ['a model that CloudWatch would drop', { CANARY_MODELS: '["modèle"]' }, 'CANARY_MODELS'],
    ['no key', { CANARY_API_KEY_ARN: '' }, 'CANARY_API_KEY_ARN'],
    ['a namespace with a space', { CANARY_NAMESPACE: 'a b' }, 'CANARY_NAMESPACE'],
    ['no number of seconds', { CANARY_DEADLINE_SECONDS: 'soon' }, 'CANARY_DEADLINE_SECONDS'],
  ])('refuse %s', (_, change, name) => {
    expect(() => loadCanaryConfig({ ...good, ...change })).toThrow(new RegExp(`^Bad configuration:\n- ${name} .*$`));
  });
});
