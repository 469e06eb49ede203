import * as v from 'valibot';
import { InvalidRequestError } from '../errors.ts';

/**
 * Checks a request body against a schema.
 * @throws {InvalidRequestError} with the first problem's field as `param`, as OpenAI words it.
 */
export function parseBody<Schema extends v.GenericSchema>(schema: Schema, body: unknown): v.InferOutput<Schema> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new InvalidRequestError('The request body must be a JSON object.');
  }
  const result = v.safeParse(schema, body, { abortPipeEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  const param = v.getDotPath(issue) ?? null;
  throw new InvalidRequestError(describeIssue(issue, param), { param });
}

function describeIssue(issue: v.BaseIssue<unknown>, param: string | null): string {
  if (param === null) return issue.message;
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    return `Unrecognized request argument supplied: ${param}`;
  }
  if (issue.input === undefined) return `Missing required parameter: '${param}'.`;
  return `Invalid value for '${param}': ${issue.message}`;
}

/** Deeper than any request is, and no deeper than what works on one can go down. */
const MOST_LEVELS = 200;

/** Reads JSON. The message never repeats what was sent: it may hold a prompt. */
export function parseJson(text: string): unknown {
  if (isDeeperThan(text, MOST_LEVELS)) {
    throw new InvalidRequestError(`The JSON body of your request is nested more than ${MOST_LEVELS} levels deep.`);
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new InvalidRequestError(
      'We could not parse the JSON body of your request. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.',
      { cause: error instanceof SyntaxError ? undefined : error },
    );
  }
}

/** Counts brackets that stand outside of strings, whether the text is JSON or not. */
function isDeeperThan(text: string, most: number): boolean {
  let levels = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (inString) {
      if (character === '\\') at += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === '{' || character === '[') {
      levels += 1;
      if (levels > most) return true;
    } else if (character === '}' || character === ']') levels -= 1;
  }
  return false;
}
