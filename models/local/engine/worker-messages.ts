import type { ModelFolder } from '../convert/model-folder.ts';
import type { EngineEvent, EngineLimits, EngineRequest, EngineStatus } from './engine.ts';

export interface WorkerOptions {
  readonly model: ModelFolder;
  readonly limits: EngineLimits;
  readonly threads: number;
  readonly profilePrefix: string | undefined;
}

export type ToWorker =
  | { readonly type: 'submit'; readonly request: EngineRequest }
  | { readonly type: 'cancel'; readonly id: string }
  /** Drops what runs and waits, and ends the thread after the step that is being computed. */
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'events'; readonly events: readonly EngineEvent[]; readonly status: EngineStatus };
