import { readFileSync } from 'node:fs';

/** One exchange with a real vLLM: the body that was sent, and the answer in the chunks that arrived. */
export interface Recording {
  readonly request: Readonly<Record<string, unknown>> | string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly chunks: readonly string[];
}

/** test/fixtures/vllm/README.md says how they were made. */
export function loadRecording(name: string): Recording {
  return JSON.parse(readFileSync(new URL(`../fixtures/vllm/${name}.json`, import.meta.url), 'utf8'));
}
