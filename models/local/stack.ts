/** Who runs, with which settings: the gateway in front of the SageMaker-compatible runtime in front of the container. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { answerPipelines, type EmbeddingModel, type ServedModel } from '../catalog.ts';
import { compileCache } from './cache-folder.ts';
import { processEnvironment } from './container/process-environment.ts';
import { freePort } from './free-port.ts';
import type { PreparedModel } from './prepare-model.ts';
import type { RuntimeConfigInput } from './sagemaker-runtime/config.ts';
import type { LocalSettings } from './settings.ts';
import type { ChildSpec } from './supervisor.ts';

export interface PreparedModels extends PreparedModel {
  /** Holds an embedding model; `undefined` where none is served. */
  readonly embeddingsFolder: string | undefined;
}

export interface LocalStack {
  readonly children: readonly ChildSpec[];
  readonly catalog: readonly ServedModel[];
  readonly metricsUrl: string;
  readonly logFolder: string;
}

/** Front to back, so that nobody loses what is behind it while it drains. */
export const STOP_ORDER = ['gateway', 'sagemaker-runtime', 'container'] as const;

const REGION = 'us-east-1';

/** Writes the children's settings into `runFolder` and describes how to start them. */
export async function describeStack(settings: LocalSettings, model: PreparedModels, runFolder: string): Promise<LocalStack> {
  const [containerPort, runtimePort] = await Promise.all([freePort(), freePort()]);
  // One caller, known to this run alone: the runtime checks its signature as AWS would.
  const credentials = {
    accessKeyId: `LOCAL${randomBytes(8).toString('hex').toUpperCase()}`,
    secretAccessKey: randomBytes(30).toString('base64url'),
  };
  const container = `http://127.0.0.1:${containerPort}`;
  const runtimeConfig: RuntimeConfigInput = {
    region: REGION,
    credentials,
    endpoints: Object.fromEntries(model.catalog.map((served) => [served.endpoint.name, describeEndpoint(served, container)])),
    ...(settings.faultPlanFile === undefined ? {} : { faultPlanFile: settings.faultPlanFile }),
  };
  const runtimeConfigFile = join(runFolder, 'sagemaker-runtime.json');
  const catalogFile = join(runFolder, 'catalog.json');
  await Promise.all([
    writeFile(runtimeConfigFile, JSON.stringify(runtimeConfig), { mode: 0o600 }),
    writeFile(catalogFile, JSON.stringify([...model.catalog, ...pipelinesOf(model.catalog), ...embeddingModelsOf(model)])),
  ]);

  const environment: LocalSettings['environment'] = { ...withoutAws(settings.environment), ...compileCache(settings.environment) };
  return {
    catalog: model.catalog,
    metricsUrl: `${container}/metrics`,
    logFolder: join(settings.cacheFolder, 'logs'),
    children: [
      {
        name: 'container',
        file: fileOf('./container/main.ts'),
        arguments: [
          ...['--model', model.folder, '--host', '127.0.0.1', '--port', String(containerPort)],
          ...[
            '--slots',
            String(settings.slots),
            '--max-queue',
            String(settings.maxQueue),
            '--context',
            String(contextLength(model.catalog)),
          ],
          ...(settings.threads === undefined ? [] : ['--threads', String(settings.threads)]),
          ...(model.embeddingsFolder === undefined ? [] : ['--embeddings', model.embeddingsFolder]),
        ],
        environment: { ...environment, ...processEnvironment(settings.environment) },
        readyUrl: `${container}/ping`,
        yields: true, // a token that is there goes to its reader before the next is computed
      },
      {
        name: 'sagemaker-runtime',
        file: fileOf('./sagemaker-runtime/main.ts'),
        arguments: ['--config', runtimeConfigFile, '--host', '127.0.0.1', '--port', String(runtimePort)],
        environment,
        readyUrl: `http://127.0.0.1:${runtimePort}/ping`,
      },
      {
        name: 'gateway',
        file: fileOf('../../functions/gateway/local.ts'),
        arguments: [],
        environment: {
          ...environment,
          HOST: settings.host,
          PORT: String(settings.port),
          PENSTOCK_CATALOG: catalogFile,
          PENSTOCK_DATA: environment['PENSTOCK_DATA'] ?? join(settings.cacheFolder, 'data'),
          PENSTOCK_TOKENIZERS: model.tokenizersFolder,
          AWS_REGION: REGION,
          AWS_ACCESS_KEY_ID: credentials.accessKeyId,
          AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
          AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: `http://127.0.0.1:${runtimePort}`,
          AWS_ENDPOINT_URL_SAGEMAKER: `http://127.0.0.1:${runtimePort}`,
        },
        readyUrl: `http://${settings.host === '0.0.0.0' || settings.host === '::' ? 'localhost' : settings.host}:${settings.port}/readyz`,
      },
    ],
  };
}

function describeEndpoint({ endpoint }: ServedModel, container: string): RuntimeConfigInput['endpoints'][string] {
  if (endpoint.inferenceComponent === undefined) return { containers: [container] };
  return { inferenceComponents: { [endpoint.inferenceComponent]: { containers: [container] } } };
}

/** Drafting and refining works with whatever model is served here. */
function pipelinesOf([served]: readonly ServedModel[]) {
  return served === undefined ? [] : answerPipelines.map((pipeline) => ({ ...pipeline, model: served.id }));
}

/** The container serves it beside the generating model, so it has the same endpoint. */
function embeddingModelsOf({ catalog: [served], embeddingsFolder }: PreparedModels): readonly EmbeddingModel[] {
  if (served === undefined || embeddingsFolder === undefined) return [];
  const { endpoint } = served;
  const model = { id: 'all-minilm-l6-v2', created: 1_630_281_600, ownedBy: 'sentence-transformers', dimensions: 384, maxInputTokens: 256 };
  return [{ task: 'embed', ...model, takesTokenIds: false, readsTokenIdsAs: 'cl100k_base', endpoint }];
}

function contextLength(catalog: readonly ServedModel[]): number {
  return Math.max(...catalog.map((served) => served.contextLength));
}

/** A profile or session of the user's own would win over what we set, and lead the SDK to real AWS. */
function withoutAws(environment: LocalSettings['environment']): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('AWS_')));
}

function fileOf(path: string): string {
  return new URL(path, import.meta.url).pathname;
}
