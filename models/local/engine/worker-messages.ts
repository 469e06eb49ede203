import type { ModelFolder } from '../convert/model-folder.ts';
import type { EngineLimits, EngineStatus } from './engine.ts';
import type { EngineEvent, EngineRequest } from './engine-request.ts';
import type { GrammarSpec } from './grammar.ts';
import type { StepProfile } from './step-profile.ts';

export interface WorkerOptions {
  readonly model: ModelFolder;
  readonly limits: EngineLimits;
  readonly threads: number;
  /** Say every few seconds where the time of steps goes. */
  readonly profile: boolean;
}

export type ToWorker =
  | { readonly type: 'submit'; readonly request: EngineRequest }
  | { readonly type: 'cancel'; readonly id: string }
  | { readonly type: 'check-grammar'; readonly number: number; readonly grammar: GrammarSpec }
  | { readonly type: 'load-adapter'; readonly number: number; readonly name: string; readonly folder: string }
  | { readonly type: 'unload-adapter'; readonly name: string }
  /** Drops what runs and waits, and ends the thread after the step that is being computed. */
  | { readonly type: 'stop' };

export type FromWorker =
  /** Answers a grammar or an adapter by its number; `problem` is `undefined` for one that can be used. */
  | { readonly type: 'checked'; readonly number: number; readonly problem: string | undefined }
  | { readonly type: 'ready' }
  | { readonly type: 'profile'; readonly profile: StepProfile }
  | { readonly type: 'events'; readonly events: readonly EngineEvent[]; readonly status: EngineStatus };
