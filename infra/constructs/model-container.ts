import type { ServedModel } from '../../models/catalog.ts';
import type { ComponentPlan } from '../plan-endpoints.ts';

/** AWS's Deep Learning Containers, in this account in every commercial region. */
const CONTAINER_ACCOUNT = '763104351884';

const IMAGES = {
  vllm: 'vllm:server-sagemaker-cuda-v1',
  lmi: 'djl-inference:0.36.0-lmi18.0.0-cu128',
} as const;

/** Where SageMaker pulls the images from. */
export function containerRepositories(partition: string, region: string): string[] {
  return Object.values(IMAGES).map((image) => `arn:${partition}:ecr:${region}:${CONTAINER_ACCOUNT}:repository/${image.split(':')[0]}`);
}

/** The image of a model's container in one region. */
export function containerImage(container: keyof typeof IMAGES, region: string, urlSuffix: string): string {
  return `${CONTAINER_ACCOUNT}.dkr.ecr.${region}.${urlSuffix}/${IMAGES[container]}`;
}

/** SageMaker downloads a model's weights to here. */
const WEIGHTS = '/opt/ml/model';

/**
 * The container's settings. Both run vLLM: one takes its flags as SM_VLLM_*, the other as OPTION_*.
 * Prompts come as token ids, so the server needs no chat template; it must never log a prompt.
 */
export function containerEnvironment({ name, deployment, model }: ComponentPlan): Record<string, string> {
  const concurrency = deployment.concurrencyPerCopy;
  return deployment.container === 'vllm' ? vllmFlags(name, model, concurrency) : lmiOptions(model, concurrency);
}

/** The component's name, not the model's: a model that is renamed for callers changes nothing that runs. */
function vllmFlags(name: string, model: ServedModel, concurrency: number): Record<string, string> {
  return {
    SM_VLLM_MODEL: WEIGHTS,
    SM_VLLM_SERVED_MODEL_NAME: name,
    SM_VLLM_MAX_MODEL_LEN: String(model.contextLength),
    SM_VLLM_MAX_NUM_SEQS: String(concurrency),
    SM_VLLM_ENABLE_PREFIX_CACHING: 'true',
    SM_VLLM_MAX_LOGPROBS: '20',
  };
}

function lmiOptions(model: ServedModel, concurrency: number): Record<string, string> {
  return {
    HF_MODEL_ID: WEIGHTS,
    OPTION_ROLLING_BATCH: 'disable',
    OPTION_ASYNC_MODE: 'true',
    OPTION_ENTRYPOINT: 'djl_python.lmi_vllm.vllm_async_service',
    OPTION_MAX_MODEL_LEN: String(model.contextLength),
    OPTION_MAX_ROLLING_BATCH_SIZE: String(concurrency),
    OPTION_ENABLE_PREFIX_CACHING: 'true',
    SERVING_FAIL_FAST: 'true',
  };
}
