/**
 * Which container images run, by their digest, which never changes: `npm run penstock -- doctor --pin-images` asks AWS what the tags stand for
 * and writes it into `infra/pinned-images.json`, which is committed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import * as v from 'valibot';
import { type Container, type ContainerDigests, IMAGE_DIGEST, type ImageName, imageName } from './constructs/model-container.ts';
import type { EndpointPlan } from './endpoint-plan.ts';
import { projectPath } from './project-path.ts';

const PINNED_IMAGES = projectPath('infra/pinned-images.json');
const HOW = '`npm run penstock -- doctor --pin-images`';

const pinSchema = v.strictObject({
  image: v.string(),
  digest: v.pipe(v.string(), v.regex(IMAGE_DIGEST)),
  date: v.pipe(v.string(), v.isoDate()),
});
const fileSchema = v.strictObject({ vllm: v.optional(pinSchema), lmi: v.optional(pinSchema) } satisfies Record<Container, unknown>);

type Pin = v.InferOutput<typeof pinSchema>;
export type PinnedImages = Readonly<Partial<Record<Container, Pin | undefined>>>;

/** @throws one sentence when the file is no such file, or has the digest of another image than the code names by now. */
export function loadPinnedImages(file = PINNED_IMAGES): ContainerDigests {
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), fileSchema), readFileSync(file, 'utf8'));
  if (!result.success) throw new Error(`infra/pinned-images.json is not what ${HOW} writes: run it again.`);
  const pins = Object.entries(result.output) as [Container, Pin][]; // the schema has these keys alone
  for (const [container, { image }] of pins) {
    const now = nameOf(imageName(container));
    if (image !== now) throw new Error(`infra/pinned-images.json pins ${image}, but ${now} is deployed by now: pin it by ${HOW}.`);
  }
  return Object.fromEntries(pins.map(([container, { digest }]) => [container, digest]));
}

/** The containers that the catalog's models run in. */
export function containersOf(endpoints: readonly EndpointPlan[]): readonly Container[] {
  return [...new Set(endpoints.flatMap(({ components }) => components.map(({ deployment }) => deployment.container)))];
}

export interface PinOptions {
  readonly endpoints: readonly EndpointPlan[];
  readonly regions: readonly string[];
  /** What the image's tag stands for in a region; `undefined` when it is not there. */
  imageDigest(region: string, image: ImageName, digest: undefined): Promise<string | undefined>;
  /** Of today, `2026-11-27`. */
  readonly date: string;
}

/** @throws one sentence when an image is not in every region, or not the same in all. */
export async function pinImages({ endpoints, regions, imageDigest, date }: PinOptions): Promise<PinnedImages> {
  const pins: [Container, Pin][] = [];
  for (const container of containersOf(endpoints)) {
    const image = imageName(container);
    const found = new Map<string, string>();
    for (const region of regions) {
      const digest = await imageDigest(region, image, undefined).catch((error: unknown) => {
        throw new Error(`The image ${nameOf(image)} cannot be looked up in ${region}: ${String(error)}`, { cause: error });
      });
      if (digest === undefined) throw new Error(`The image ${nameOf(image)} is not in ${region}: take another tag or container.`);
      found.set(region, digest);
    }
    const [digest = '', ...others] = new Set(found.values());
    if (others.length > 0) {
      const where = [...found].map(([region, each]) => `${each} in ${region}`).join(', ');
      throw new Error(`The image ${nameOf(image)} is being renewed (${where}): try again when it is the same everywhere.`);
    }
    pins.push([container, { image: nameOf(image), digest, date }]);
  }
  return Object.fromEntries(pins);
}

export function savePinnedImages(pins: PinnedImages, file = PINNED_IMAGES): void {
  writeFileSync(file, `${JSON.stringify(pins, null, 2)}\n`);
}

/** @throws one sentence in production, when AWS could change what runs. */
export function refuseUnpinned(endpoints: readonly EndpointPlan[], digests: ContainerDigests): void {
  const unpinned = containersOf(endpoints).filter((container) => digests[container] === undefined);
  if (unpinned.length === 0) return;
  const names = unpinned.map((container) => nameOf(imageName(container))).join(' and ');
  throw new Error(`Production pins its images, but ${names} is named by its tag: run ${HOW}, or set "unpinnedImages": true in cdk.json.`);
}

function nameOf({ repository, tag }: ImageName): string {
  return `${repository}:${tag}`;
}
