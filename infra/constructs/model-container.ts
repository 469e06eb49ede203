import type { AdapterPlan, ComponentPlan } from '../endpoint-plan.ts';

/** AWS's Deep Learning Containers, in this account in every commercial region. */
const CONTAINER_ACCOUNT = '763104351884';

const IMAGES = {
  vllm: 'vllm:server-sagemaker-cuda-v1',
  lmi: 'djl-inference:0.36.0-lmi18.0.0-cu128',
} as const;

export type Container = keyof typeof IMAGES;

/** How an image is called that never changes: https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests */
export const IMAGE_DIGEST = /^sha256:[0-9a-f]{64}$/;

/** What a container's tag stands for: `infra/pinned-images.json` and the settings pin it. */
export type ContainerDigests = Readonly<Partial<Record<Container, string | undefined>>>;

export interface ImageName {
  /** AWS account that owns the repository. */
  readonly registry: string;
  readonly repository: string;
  readonly tag: string;
}

export function imageName(container: Container): ImageName {
  const [repository = '', tag = ''] = IMAGES[container].split(':');
  return { registry: CONTAINER_ACCOUNT, repository, tag };
}

/** Where SageMaker pulls the images from. */
export function containerRepositories(partition: string, region: string): string[] {
  return Object.values(IMAGES).map((image) => `arn:${partition}:ecr:${region}:${CONTAINER_ACCOUNT}:repository/${image.split(':')[0]}`);
}

/** The image of a model's container in one region: by its digest, which never changes, when that is set, else by its tag. */
export function containerImage(container: Container, region: string, urlSuffix: string, digests: ContainerDigests): string {
  const { registry, repository, tag } = imageName(container);
  const digest = digests[container];
  return `${registry}.dkr.ecr.${region}.${urlSuffix}/${repository}${digest === undefined ? `:${tag}` : `@${digest}`}`;
}

/** SageMaker downloads a model's weights to here. */
const WEIGHTS = '/opt/ml/model';

/**
 * The container's settings. Both run vLLM: one takes its flags as SM_VLLM_*, the other as OPTION_*.
 * Prompts come as token ids, so the server needs no chat template; it must never log a prompt.
 */
export function containerEnvironment({ name, deployment, model, adapters }: ComponentPlan): Record<string, string> {
  const flags = {
    MAX_MODEL_LEN: String(model.contextLength),
    ENABLE_PREFIX_CACHING: 'true',
    ...loraFlags(adapters),
  };
  const concurrency = String(deployment.concurrencyPerCopy);
  return deployment.container === 'vllm'
    ? {
        SM_VLLM_MODEL: WEIGHTS,
        // The component's name, not the model's: a model that is renamed for callers changes nothing that runs.
        SM_VLLM_SERVED_MODEL_NAME: name,
        SM_VLLM_MAX_NUM_SEQS: concurrency,
        SM_VLLM_MAX_LOGPROBS: '20',
        ...prefixed('SM_VLLM_', flags),
        // Without it the server refuses the adapters that SageMaker brings later.
        ...(adapters.length === 0 ? {} : { VLLM_ALLOW_RUNTIME_LORA_UPDATING: 'True' }),
      }
    : {
        HF_MODEL_ID: WEIGHTS,
        OPTION_ROLLING_BATCH: 'disable',
        OPTION_ASYNC_MODE: 'true',
        OPTION_ENTRYPOINT: 'djl_python.lmi_vllm.vllm_async_service',
        OPTION_MAX_ROLLING_BATCH_SIZE: concurrency,
        SERVING_FAIL_FAST: 'true',
        ...prefixed('OPTION_', flags),
      };
}

/** The ranks that vLLM has kernels for. */
const RANKS = [8, 16, 32, 64, 128, 256, 320, 512];

function loraFlags(adapters: readonly AdapterPlan[]): Record<string, string> {
  if (adapters.length === 0) return {};
  const highest = Math.max(...adapters.map(({ adapter }) => adapter.rank));
  const count = String(adapters.length);
  return {
    ENABLE_LORA: 'true',
    MAX_LORAS: count,
    MAX_CPU_LORAS: count,
    MAX_LORA_RANK: String(RANKS.find((rank) => rank >= highest) ?? highest),
  };
}

function prefixed(prefix: string, flags: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(flags).map(([name, value]) => [`${prefix}${name}`, value]));
}
