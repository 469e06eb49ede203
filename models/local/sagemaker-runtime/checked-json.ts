import { readFile } from 'node:fs/promises';
import * as v from 'valibot';
import { SentenceError } from '../sentence-error.ts';

/** @throws {SentenceError} the file is missing or not JSON. */
export async function readJson(file: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new SentenceError(`${file} cannot be read. Name a JSON file that exists.`, { cause: error });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SentenceError(`${file} is not JSON.`, { cause: error });
  }
}

/** @throws {SentenceError} every problem with its path. */
export function parseChecked<Schema extends v.GenericSchema>(schema: Schema, value: unknown, what: string): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const problems = result.issues.flatMap(describeIssue);
  throw new SentenceError(`Bad ${what}:\n- ${problems.join('\n- ')}`);
}

/** valibot's own sentences repeat what was received; only the ones written here are shown. */
function describeIssue(issue: v.BaseIssue<unknown>): string[] {
  const path = v.getDotPath(issue) ?? 'the whole';
  const nested = issue.kind === 'schema' && issue.type === 'union' ? (issue.issues ?? []) : [];
  if (nested.length > 0) return nested.map((inner) => `${path}.${v.getDotPath(inner) ?? ''}: ${sentenceOf(inner)}`);
  return [`${path}: ${sentenceOf(issue)}`];
}

function sentenceOf(issue: v.BaseIssue<unknown>): string {
  if (issue.type === 'strict_object' && issue.expected === 'never') return 'is not a setting';
  if (issue.received === 'undefined') return 'is missing';
  return issue.kind === 'schema' ? `must be ${issue.expected ?? 'something else'}` : issue.message;
}
