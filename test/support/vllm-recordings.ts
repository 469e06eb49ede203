import { readFileSync } from 'node:fs';
import type { CompletionChunk, CompletionUsage } from '../../models/invocation.ts';

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

/** The body that was sent. A cast: recordings are ours, and a test that reads one knows what it asked. */
export function recordedBody<Body>(recording: Recording): Body {
  return recording.request as Body;
}

/** An answer that came whole. */
export function recordedAnswer<Answer>(recording: Recording): Answer {
  return JSON.parse(recording.chunks.join(''));
}

/** The choices of each event, or of the whole answer, read without any code of ours: one JSON a `data:` line. */
export function recordedChoices(recording: Recording): CompletionChunk['choices'] {
  return recordedJson(recording).flatMap((chunk) => chunk.choices);
}

export function recordedUsage(recording: Recording): CompletionUsage {
  const usage = recordedJson(recording).findLast((chunk) => chunk.usage !== undefined)?.usage;
  if (usage === undefined) throw new Error('the recording has no usage');
  return usage;
}

function recordedJson({ headers, chunks }: Recording): CompletionChunk[] {
  const text = chunks.join('');
  if (headers['content-type'] === 'application/json') return [JSON.parse(text)];
  return [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json = '']) => JSON.parse(json));
}
