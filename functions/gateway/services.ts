/**
 * The ports: what the gateway needs from outside, in our words. Drivers in `functions/drivers` implement them, the entries choose
 * among the drivers, and `test/contracts` has one suite for each port that every driver runs.
 */

import type { SafetyPolicy, WindowClassifier } from '../../layers/safety/index.ts';
import type { Tokenizer } from '../../layers/tokenizer/index.ts';
import type { ServedModels } from './served-models.ts';
import type { Table } from './services/table.ts';
import type { Switches } from './switches.ts';

/** Where one answer is generated. */
export interface EndpointTarget {
  readonly endpointName: string;
  readonly inferenceComponent?: string;
  /** A LoRA adapter that the endpoint has loaded. The container picks by this name, never by a `model` field. */
  readonly adapter?: string;
  readonly variant?: string;
  /** Where it runs, when not in the gateway's own region. */
  readonly region?: string;
}

/** One answer to generate: token ids in, token ids out. */
export interface EndpointRequest {
  readonly target: EndpointTarget;
  /** Passed on as `X-Request-Id`, so that the container's log and ours name the same request. */
  readonly requestId: string;
  readonly promptTokenIds: readonly number[];
  /** Names, without telling who or what it is, the session that it belongs to: a hint for what routes behind the endpoint's name. */
  readonly sessionId?: string;
  readonly maxTokens: number;
  readonly stopTokenIds: readonly number[];
  readonly sampling: SamplingOptions;
  /** What the output is constrained to; `undefined` leaves it free. An endpoint that cannot enforce it refuses. */
  readonly grammar?: Grammar;
  /** Log-probabilities of the sampled token and this many alternatives; `undefined` asks for none. At most 20. */
  readonly topLogprobs?: number;
}

/** A form that the engine enforces by masking tokens. */
export type Grammar =
  | { readonly type: 'json-object' }
  | { readonly type: 'json-schema'; readonly schema: Readonly<Record<string, unknown>> };

export interface SamplingOptions {
  readonly temperature: number;
  readonly topP: number;
  /** `undefined` means all tokens. */
  readonly topK?: number;
  readonly seed?: number;
  readonly frequencyPenalty?: number;
  readonly presencePenalty?: number;
  /** Token id to bias, added to the logits. */
  readonly logitBias?: ReadonlyMap<number, number>;
}

export interface TokenLogprob {
  readonly tokenId: number;
  readonly logprob: number;
}

export interface SampledTokenLogprob extends TokenLogprob {
  /** The likeliest tokens at this position, best first. */
  readonly top: readonly TokenLogprob[];
}

/** What an endpoint sends. `tokens` events come as the model produces them; exactly one `end` closes the stream. */
export type EndpointEvent =
  | { readonly type: 'tokens'; readonly tokenIds: readonly number[]; readonly logprobs?: readonly SampledTokenLogprob[] }
  | { readonly type: 'end'; readonly finishReason: 'stop' | 'length'; readonly cachedPromptTokens?: number };

export interface Endpoint {
  /**
   * Generates one answer. The end-of-sequence id is among the token ids and is counted, as vLLM does.
   * Nothing is sent before the first pull; leaving the loop or aborting the signal stops the endpoint's work.
   * @throws {EndpointUnavailableError} no capacity, throttled, starting or broken; `startedGenerating` tells whether tokens were seen.
   * @throws {EndpointRefusedError} the endpoint refused this request; another try would be refused too.
   */
  invoke(request: EndpointRequest, signal: AbortSignal): AsyncIterable<EndpointEvent>;
  /**
   * How likely the model finds the given tokens, prompt by prompt in the order of the request. Nothing is generated.
   * @throws {EndpointUnavailableError} @throws {EndpointRefusedError} as `invoke` does.
   */
  score(request: ScoringRequest, signal: AbortSignal): Promise<readonly PromptLogprobs[]>;
  /**
   * One vector an input, of unit length, in the order of the request.
   * @throws {EndpointUnavailableError} @throws {EndpointRefusedError} as `invoke` does.
   */
  embed(request: EmbeddingRequest, signal: AbortSignal): Promise<EmbeddingResult>;
}

/** How the machines behind a target are. */
export interface TargetStatus {
  /** In the words of SageMaker: InService, Creating, Updating, Failed, ... */
  readonly status: string;
  /** Copies of the model, or instances of an endpoint without inference components; none of an adapter, which runs on the copies of its base. */
  readonly copies?: { readonly running: number; readonly wanted: number };
  /** Since when it has been so, in milliseconds since the epoch. */
  readonly changedAt?: number;
  /** Why the last change failed: for whoever runs it, not for callers. */
  readonly failure?: string;
}

/** Knows what runs. */
export interface ControlPlane {
  /** `undefined` when there is no such endpoint. @throws {EndpointUnavailableError} it does not say. */
  describe(target: EndpointTarget): Promise<TargetStatus | undefined>;
}

/** Tokens whose likelihood is asked for: each after those before it. */
export interface ScoringRequest {
  readonly target: EndpointTarget;
  readonly requestId: string;
  /** At least one prompt, each of at least one token. */
  readonly prompts: readonly (readonly number[])[];
  /** Alternatives to show at each position, 0 to 20. */
  readonly topLogprobs: number;
}

/** As long as its prompt; `undefined` for the first token, which follows nothing. */
export type PromptLogprobs = readonly (SampledTokenLogprob | undefined)[];

export interface EmbeddingRequest {
  readonly target: EndpointTarget;
  readonly requestId: string;
  /** Texts, or token ids of the embedding model's own vocabulary. At least one. */
  readonly input: readonly string[] | readonly (readonly number[])[];
}

export interface EmbeddingResult {
  readonly embeddings: readonly Float32Array[];
  readonly promptTokens: number;
}

/** The files that a tokenizer is loaded from. */
export interface TokenizerFiles {
  /** @param folder the folder's name in the catalog. Throws an error that names the file when one is missing. */
  load(folder: string): Promise<{ readonly vocabulary: Uint8Array; readonly chatTemplate: string }>;
}

/** Encodings of models that are served elsewhere, for counting: `cl100k_base` and its kin. */
export interface Encodings {
  find(name: string): Promise<Tokenizer | undefined>;
}

/** Work that outlives the process which took it on. What it is about lies in the table; the queue has its name alone. */
export interface JobQueue {
  /**
   * Some process begins the generation: once, as a rule, and again when the process that did has died. It need not be this one.
   * @param delaySeconds not before so long, 900 at most; at once when not given.
   * @throws {JobQueueUnavailableError} nobody will.
   */
  send(generationId: string, delaySeconds?: number): Promise<void>;
}

/** Where answers are made that nobody waits for: whenever a machine has time, which may take hours. */
export interface OfflineEndpoint {
  /**
   * The answer's events, from whichever process; `undefined` while it is being made. Asks for it the first time that it is called with this name.
   * @param name of the answer: visible ASCII, and never another request's.
   * @throws {EndpointUnavailableError} it cannot be asked for now, or was not made. @throws {EndpointRefusedError} the model refuses the request.
   * @throws {StoreUnavailableError}
   */
  fetch(name: string, request: EndpointRequest): Promise<readonly EndpointEvent[] | undefined>;
  /** Deletes what was asked and answered under this name, as far as it is there. @throws {StoreUnavailableError} */
  forget(name: string): Promise<void>;
}

/** A public key on the curve P-256, RFC 7517. */
export interface PublicKey {
  readonly kty: string;
  readonly crv: string;
  readonly x: string;
  readonly y: string;
}

/** Signs with a private key that this process need not know. */
export interface Signer {
  /** @throws {StoreUnavailableError} */
  publicKey(): Promise<PublicKey>;
  /** @param data at most 4,096 bytes. @returns ECDSA over SHA-256 as JOSE has it (RFC 7518, 3.4): 64 bytes. @throws {StoreUnavailableError} */
  sign(data: Uint8Array): Promise<Uint8Array>;
}

/** Structured log lines. Fields are ids, counts, names and durations: never a prompt, a completion or a key. */
export interface Log {
  write(level: 'info' | 'warn' | 'error', event: string, fields?: Readonly<Record<string, string | number | boolean | undefined>>): void;
}

/** Where time and ids come from, so that tests need no fake timers. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
}

export interface Ids {
  /** A new random id of at least 120 bits, URL-safe, with this prefix: `chatcmpl-…`. */
  create(prefix: string): string;
}

/** A text that somebody edits while the gateway runs. */
export interface SettingText {
  /** As it stands; `undefined` when there is none. @throws {StoreUnavailableError} */
  read(): Promise<string | undefined>;
}

/** A safety policy that somebody edits while the gateway runs. */
export interface PolicyFile {
  /** The policy as it stands. @throws while there has never been one that can be used. */
  read(): Promise<SafetyPolicy | undefined>;
}

/** Everything that the gateway needs from outside. The entries build it; only `app.ts` and `run-generation.ts` see it whole. */
export interface Services {
  readonly models: ServedModels;
  readonly endpoint: Endpoint;
  /** Tells what runs behind the endpoint; none where nobody does. */
  readonly controlPlane?: ControlPlane;
  /** What outlives a request. */
  readonly table: Table;
  /** None where the process outlives its answers and makes them itself. */
  readonly jobs?: JobQueue;
  /** Makes the answers of the queue that have time; none where they are made as all others. */
  readonly offline?: OfflineEndpoint;
  /** Signs client secrets; none where their keys lie in the table. */
  readonly signer?: Signer;
  /** What is changed without a deployment; none where nothing is. */
  readonly switches?: Switches;
  /** None where nobody counts for other models. */
  readonly encodings?: Encodings;
  /** Scores texts for safety policies and moderations. */
  readonly classifier: WindowClassifier;
  /** The policy of those who have none of their own; none where no file is set. */
  readonly policyFile?: PolicyFile | undefined;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
}
