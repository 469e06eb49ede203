/** The settings of the local SageMaker runtime: one JSON file, read and checked once. */
import * as v from 'valibot';
import { parseChecked, readJson } from './checked-json.ts';

/** Names as SageMaker allows them. */
const name = v.pipe(v.string(), v.regex(/^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$/, 'a name has letters, digits and inner hyphens, 63 at most'));
const containerUrl = v.pipe(
  v.string(),
  v.url('must be a URL'),
  v.check((url) => URL.canParse(url) && new URL(url).protocol === 'http:', 'a container is reached over http:'),
);
const containers = v.pipe(v.array(containerUrl), v.minLength(1, 'needs at least one container'));
const positive = v.pipe(v.number(), v.integer(), v.minValue(1));
const seconds = v.pipe(v.number(), v.minValue(0));

const modelComponentSchema = v.pipe(
  v.strictObject({
    containers,
    /** Copies that run at the start; each copy is one container. All of them when not given. */
    copies: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
    /** How long copies that are started later take until they answer. */
    loadSeconds: v.optional(seconds, 0),
    /** At zero copies, a refused call starts all copies, as the alarm on refused calls does in AWS. */
    scaleUpWhenRefused: v.optional(v.boolean(), false),
  }),
  v.check(
    (component) => (component.copies ?? 0) <= component.containers.length,
    'each copy needs a container: `copies` is above their number',
  ),
);

/** A LoRA adapter: SageMaker sends its calls to the base's copies and names the adapter in a header. */
const adapterComponentSchema = v.strictObject({
  baseInferenceComponentName: name,
  /** What the container calls the adapter; the component's own name when not given. */
  adapterIdentifier: v.optional(v.pipe(v.string(), v.regex(/^[\x21-\x7e]{1,256}$/, 'must be visible ASCII'))),
});

const s3Prefix = v.pipe(v.string(), v.regex(/^s3:\/\/[a-z0-9.-]{3,63}\/([\w./-]*\/)?$/, 'must be s3://BUCKET/PREFIX/'));

const variantSchema = v.strictObject({ containers, weight: v.optional(v.pipe(v.number(), v.minValue(0)), 1) });

const endpointSchema = v.pipe(
  v.strictObject({
    /** The one production variant, for an endpoint that has neither `variants` nor `inferenceComponents`. */
    containers: v.optional(containers),
    variants: v.optional(v.record(name, variantSchema)),
    inferenceComponents: v.optional(v.record(name, v.union([modelComponentSchema, adapterComponentSchema]))),
    /** Calls at once; more are answered with ThrottlingException. */
    maxConcurrentInvocations: v.optional(positive),
    /** It answers into a bucket (InvokeEndpointAsync), and takes no other calls. */
    asynchronous: v.optional(v.strictObject({ outputPath: s3Prefix, failurePath: s3Prefix })),
  }),
  v.check(
    (endpoint) => [endpoint.containers, endpoint.variants, endpoint.inferenceComponents].filter((part) => part !== undefined).length === 1,
    'has exactly one of `containers`, `variants` and `inferenceComponents`',
  ),
  v.check(
    ({ asynchronous, inferenceComponents }) => asynchronous === undefined || inferenceComponents === undefined,
    'an asynchronous endpoint has no inference components',
  ),
  v.check(
    (endpoint) => Object.values(endpoint.variants ?? { none: { weight: 1 } }).some((variant) => variant.weight > 0),
    'at least one variant needs a weight above 0',
  ),
  v.check(
    ({ inferenceComponents: components = {} }) =>
      Object.values(components).every(
        (component) => !('baseInferenceComponentName' in component) || isModel(components[component.baseInferenceComponentName]),
      ),
    'an adapter names a base that is no model of this endpoint',
  ),
);

const settingsSchema = v.strictObject({
  region: v.pipe(v.string(), v.regex(/^[a-z0-9-]+$/, 'must be a region such as us-east-1')),
  /** The one caller there is: its signature is checked. */
  credentials: v.strictObject({
    accessKeyId: v.pipe(v.string(), v.regex(/^\w{3,128}$/, 'must be 3 to 128 letters, digits or underscores')),
    secretAccessKey: v.pipe(v.string(), v.nonEmpty('must not be empty')),
    sessionToken: v.optional(v.pipe(v.string(), v.nonEmpty('must not be empty'))),
  }),
  endpoints: v.record(name, endpointSchema),
  /** Cuts PayloadParts inside UTF-8 sequences and lines. Only a debugging session wants this off. */
  hostileCuts: v.optional(v.boolean(), true),
  /** Decides the cuts, the variants drawn and the faults' chances: the same calls in the same order get the same. */
  seed: v.optional(v.pipe(v.number(), v.integer()), 1),
  /** A container must answer a whole answer within this time. */
  invocationSeconds: v.optional(seconds, 60),
  /** A stream must end within this time. */
  streamSeconds: v.optional(seconds, 480),
  /** How long a stopping process waits for running streams. */
  drainSeconds: v.optional(seconds, 30),
  maxBodyBytes: v.optional(positive, 25 * 1024 * 1024),
  /** A JSON file, see faults.ts. */
  faultPlanFile: v.optional(v.string()),
  /** Where asynchronous endpoints find requests and leave answers: what speaks S3 and takes the same credentials. */
  objectsUrl: v.optional(v.pipe(v.string(), v.url('must be a URL'))),
  /** An asynchronous answer must be there within this time, the wait for a copy included. */
  asyncSeconds: v.optional(seconds, 3600),
});

const configSchema = v.pipe(
  settingsSchema,
  v.check(
    ({ endpoints, objectsUrl }) => objectsUrl !== undefined || Object.values(endpoints).every((one) => one.asynchronous === undefined),
    'an asynchronous endpoint needs `objectsUrl`',
  ),
);

export type RuntimeConfig = v.InferOutput<typeof configSchema>;
/** What a config file holds: defaults left out. */
export type RuntimeConfigInput = v.InferInput<typeof configSchema>;
export type EndpointConfig = RuntimeConfig['endpoints'][string];
export type Credentials = RuntimeConfig['credentials'];

function isModel(component: object | undefined): boolean {
  return component !== undefined && 'containers' in component;
}

/** @throws {SentenceError} every problem with its path; values are not repeated, they may be secrets. */
export function parseRuntimeConfig(value: unknown): RuntimeConfig {
  return parseChecked(configSchema, value, 'configuration of the SageMaker runtime');
}

export async function loadRuntimeConfig(file: string): Promise<RuntimeConfig> {
  return parseRuntimeConfig(await readJson(file));
}
