import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { EngineStatus } from '../engine/engine.ts';

/** vLLM's bucket borders, in seconds. */
const FIRST_TOKEN_BORDERS = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160];
const INTER_TOKEN_BORDERS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80];
const LATENCY_BORDERS = [0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680];

/** How often the event loop's delay is looked at. */
const DELAY_RESOLUTION_MS = 5;

class Histogram {
  readonly #borders: readonly number[];
  readonly #counts: number[];
  #sum = 0;

  constructor(borders: readonly number[]) {
    this.#borders = borders;
    this.#counts = new Array<number>(borders.length + 1).fill(0);
  }

  observe(value: number): void {
    const found = this.#borders.findIndex((border) => value <= border);
    const index = found < 0 ? this.#borders.length : found;
    this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    this.#sum += value;
  }

  lines(name: string, labels: string): string[] {
    let total = 0;
    const buckets = this.#counts.map((count, i) => {
      total += count;
      return `${name}_bucket{${labels},le="${this.#borders[i] ?? '+Inf'}"} ${total}`;
    });
    return [`# TYPE ${name} histogram`, ...buckets, `${name}_sum{${labels}} ${this.#sum}`, `${name}_count{${labels}} ${total}`];
  }
}

/** What happened since the start, under vLLM's metric names, so that its dashboards and alarms work unchanged. */
export class Metrics {
  readonly firstToken = new Histogram(FIRST_TOKEN_BORDERS);
  readonly interToken = new Histogram(INTER_TOKEN_BORDERS);
  readonly queueTime = new Histogram(LATENCY_BORDERS);
  readonly requestLatency = new Histogram(LATENCY_BORDERS);
  promptTokens = 0;
  readonly #delays = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
  generationTokens = 0;
  readonly #finished = new Map<'stop' | 'length' | 'abort' | 'error', number>();
  readonly #rejected = new Map<'queue-full' | 'draining', number>();

  constructor() {
    this.#delays.enable();
  }

  countFinished(reason: 'stop' | 'length' | 'abort' | 'error'): void {
    this.#finished.set(reason, (this.#finished.get(reason) ?? 0) + 1);
  }

  countRejected(reason: 'queue-full' | 'draining'): void {
    this.#rejected.set(reason, (this.#rejected.get(reason) ?? 0) + 1);
  }

  /** Seconds that the HTTP side was held up at most since this was last asked. The histogram counts from one look to the next. */
  #takeGreatestDelay(): number {
    const delay = Math.max(0, this.#delays.max / 1e9 - DELAY_RESOLUTION_MS / 1e3);
    this.#delays.reset();
    return delay;
  }

  /** Prometheus' text format, version 0.0.4. */
  render(modelName: string, status: EngineStatus): string {
    const labels = `model_name="${modelName.replace(/["\\\n]/g, '_')}"`;
    const line = (type: 'gauge' | 'counter', name: string, value: number) => [`# TYPE ${name} ${type}`, `${name}{${labels}} ${value}`];
    const labelled = (name: string, label: string, values: ReadonlyMap<string, number>) => [
      `# TYPE ${name} counter`,
      ...[...values].map(([key, value]) => `${name}{${labels},${label}="${key}"} ${value}`),
    ];
    return [
      ...line('gauge', 'vllm:num_requests_running', status.running),
      ...line('gauge', 'vllm:num_requests_waiting', status.waiting),
      ...line('gauge', 'vllm:kv_cache_usage_perc', status.kvUsage),
      ...line('counter', 'vllm:num_preemptions_total', status.preemptions),
      ...line('counter', 'vllm:prefix_cache_queries_total', status.prefixQueries),
      ...line('counter', 'vllm:prefix_cache_hits_total', status.prefixHits),
      ...line('counter', 'vllm:spec_decode_num_drafts_total', status.drafts),
      ...line('counter', 'vllm:spec_decode_num_draft_tokens_total', status.draftTokens),
      ...line('counter', 'vllm:spec_decode_num_accepted_tokens_total', status.acceptedTokens),
      ...line('counter', 'vllm:prompt_tokens_total', this.promptTokens),
      ...line('counter', 'vllm:generation_tokens_total', this.generationTokens),
      ...line('gauge', 'penstock:event_loop_delay_max_seconds', this.#takeGreatestDelay()),
      ...labelled('vllm:request_success_total', 'finished_reason', this.#finished),
      ...labelled('vllm:admission_rejections_total', 'reason', this.#rejected),
      ...this.firstToken.lines('vllm:time_to_first_token_seconds', labels),
      ...this.interToken.lines('vllm:inter_token_latency_seconds', labels),
      ...this.queueTime.lines('vllm:request_queue_time_seconds', labels),
      ...this.requestLatency.lines('vllm:e2e_request_latency_seconds', labels),
      '',
    ].join('\n');
  }
}
