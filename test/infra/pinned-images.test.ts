import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadPinnedImages, pinImages, savePinnedImages } from '../../infra/pinned-images.ts';
import { planEndpoints } from '../../infra/plan-endpoints.ts';
import { projectPath } from '../../infra/project-path.ts';
import { catalog, type ModelDeployment, type ServedModel } from '../../models/catalog.ts';
import { DIGEST, synthesise } from '../support/synthesise-stacks.ts';

const [model] = catalog as readonly [ServedModel]; // the catalog is never empty
const deployment = model.deployment as ModelDeployment; // our own model has one
const regions = ['eu-west-1', 'us-west-2'];
const date = '2026-11-27';
const endpoints = planEndpoints(catalog, { regions, leastCopies: 0 });
const OTHER = `sha256:${'b'.repeat(64)}`;

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-pins-'));
  file = join(folder, 'pinned-images.json');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('pinning the images', () => {
  it('asks in every region for what the catalog runs, and writes it down', async () => {
    const asked: string[] = [];
    const lmi: ServedModel = {
      ...model,
      id: 'other',
      endpoint: { name: 'other', inferenceComponent: 'other' },
      deployment: { ...deployment, container: 'lmi' },
    };
    const both = planEndpoints([model, { ...lmi, id: 'more', endpoint: { name: 'more', inferenceComponent: 'more' } }, lmi], {
      regions,
      leastCopies: 0,
    });
    const pins = await pinImages({
      endpoints: both,
      regions,
      date,
      imageDigest: async (region, { repository }) => {
        asked.push(`${repository} in ${region}`);
        return repository === 'vllm' ? DIGEST : OTHER;
      },
    });
    expect(asked).toEqual(['vllm in eu-west-1', 'vllm in us-west-2', 'djl-inference in eu-west-1', 'djl-inference in us-west-2']);
    savePinnedImages(pins, file);
    expect(loadPinnedImages(file)).toEqual({ vllm: DIGEST, lmi: OTHER });
    expect(JSON.parse(await readFile(file, 'utf8')).vllm).toEqual({ image: 'vllm:server-sagemaker-cuda-v1', digest: DIGEST, date });
  });

  it.each([
    ['is not there', async () => undefined, /^The image vllm:\S+ is not in eu-west-1: take another tag or container\.$/],
    [
      'is another one in one region: AWS renews it just then',
      async (region: string) => (region === 'eu-west-1' ? DIGEST : OTHER),
      /is being renewed \(sha256:a+ in eu-west-1, sha256:b+ in us-west-2\): try again/,
    ],
    [
      'cannot be looked up',
      () => Promise.reject(new Error('denied')),
      /^The image vllm:\S+ cannot be looked up in eu-west-1: Error: denied$/,
    ],
  ])('says in one sentence that an image %s', async (_, imageDigest, sentence) => {
    await expect(pinImages({ endpoints, regions, imageDigest, date })).rejects.toThrow(sentence);
  });

  it('is refused for a file that pins another image than the code names, or is none', async () => {
    savePinnedImages({ vllm: { image: 'vllm:of-last-year', digest: DIGEST, date } }, file);
    expect(() => loadPinnedImages(file)).toThrow(/pins vllm:of-last-year, but vllm:server-sagemaker-cuda-v1 is deployed by now: pin it by/);
    for (const text of [
      '',
      '{"vllm":"sha256:…"}',
      '{"vllm":{"image":"vllm:server-sagemaker-cuda-v1","digest":"latest","date":"2026-11-27"}}',
    ]) {
      await writeFile(file, text);
      expect(() => loadPinnedImages(file)).toThrow(
        'infra/pinned-images.json is not what `npm run penstock -- doctor --pin-images` writes: run it again.',
      );
    }
  });

  it('finds the file of the project good', () => {
    expect(() => loadPinnedImages(projectPath('infra/pinned-images.json'))).not.toThrow();
  });
});

describe('an image that is not pinned', () => {
  it('is refused in production in one sentence, unless the settings say otherwise', async () => {
    await expect(synthesise({ profile: 'production' })).rejects.toThrow(
      /^Production pins its images, but vllm:server-sagemaker-cuda-v1 is named by its tag: run `npm run penstock -- doctor --pin-images`, or set "unpinnedImages": true in cdk\.json\.$/,
    );
    const unpinned = await synthesise({ profile: 'production', unpinnedImages: true });
    expect(JSON.stringify(unpinned('inference-eu-west-1').findResources('AWS::SageMaker::Model'))).toContain(
      '/vllm:server-sagemaker-cuda-v1',
    );
  });

  it('is refused when another one is pinned', async () => {
    await expect(synthesise({ profile: 'production', containerDigests: { lmi: DIGEST } })).rejects.toThrow(/^Production pins its images/);
    const pinned = await synthesise({ profile: 'production', containerDigests: { vllm: DIGEST } });
    expect(JSON.stringify(pinned('inference-eu-west-1').findResources('AWS::SageMaker::Model'))).toContain(`/vllm@${DIGEST}`);
  });

  it('is good enough for the demo', async () => {
    await expect(synthesise({})).resolves.toBeDefined();
  });
});
