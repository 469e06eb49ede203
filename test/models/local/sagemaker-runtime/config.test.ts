import { describe, expect, it } from 'vitest';
import { parseRuntimeConfig } from '../../../../models/local/sagemaker-runtime/config.ts';
import { parseFaultPlan } from '../../../../models/local/sagemaker-runtime/faults.ts';

const valid = {
  region: 'us-east-1',
  credentials: { accessKeyId: 'AKID', secretAccessKey: 'S3CR3T' },
  endpoints: { gpt: { containers: ['http://127.0.0.1:9000'] } },
};

function problemsOf(config: unknown): string {
  try {
    parseRuntimeConfig(config);
  } catch (error) {
    return String(error);
  }
  throw new Error('no problem was found');
}

describe('configuration of the SageMaker runtime', () => {
  it('fills in what SageMaker does by default', () => {
    expect(parseRuntimeConfig(valid)).toMatchObject({ hostileCuts: true, streamSeconds: 480, invocationSeconds: 60 });
  });

  it('names every problem at once', () => {
    const problems = problemsOf({
      credentials: { accessKeyId: 'AKID' },
      region: 'Mars!',
      endpoints: {
        'not a name': { containers: ['http://127.0.0.1'] },
        none: { containers: [] },
        secure: { containers: ['https://host'] },
        both: { containers: ['http://a'], variants: {} },
        idle: { variants: { a: { containers: ['http://a'], weight: 0 } } },
        parts: {
          inferenceComponents: {
            many: { containers: ['http://a'], copies: 2 },
            adapter: { baseInferenceComponentName: 'nobody' },
          },
        },
      },
      hostileCut: false,
    });
    for (const problem of [
      /credentials\.secretAccessKey: is missing/,
      /region: must be a region such as us-east-1/,
      /not a name: a name has letters/,
      /endpoints\.none\.containers: needs at least one container/,
      /endpoints\.secure\.containers\.0: a container is reached over http:/,
      /hostileCut: is not a setting/,
    ])
      expect(problems).toMatch(problem);
  });

  it.each([
    [{ containers: ['http://a'], variants: { a: { containers: ['http://a'] } } }, /exactly one of/],
    [{}, /exactly one of/],
    [{ variants: { a: { containers: ['http://a'], weight: 0 } } }, /weight above 0/],
    [{ inferenceComponents: { many: { containers: ['http://a'], copies: 2 } } }, /each copy needs a container/],
    [{ inferenceComponents: { one: { containers: ['http://a'], copies: -1 } } }, /copies/],
    [{ inferenceComponents: { adapter: { baseInferenceComponentName: 'nobody' } } }, /names a base that is no model/],
    [{ containers: ['http://a'], maxConcurrentInvocations: 0 }, /maxConcurrentInvocations/],
  ])('refuses an endpoint %o', (endpoint, problem) => {
    expect(problemsOf({ ...valid, endpoints: { gpt: endpoint } })).toMatch(problem);
  });

  it('never repeats a secret', () => {
    const credentials = { accessKeyId: 'AK ID SECRET', secretAccessKey: ['SECRET'], sessionToken: '' };
    expect(problemsOf({ ...valid, credentials })).not.toContain('SECRET');
  });
});

describe('fault plan', () => {
  it('names every problem at once', () => {
    expect(() =>
      parseFaultPlan({ faults: [{ kind: 'earthquake' }, { kind: 'stall' }, { kind: 'throttling', count: 0, probability: 2 }] }),
    ).toThrow(/faults\.0\.kind(.|\n)*faults\.1\.afterEvents: is missing(.|\n)*faults\.2\.count(.|\n)*faults\.2\.probability/);
  });
});
