import type { Context } from 'hono';
import { InvalidRequestError, UnsupportedMediaTypeError } from '../errors.ts';
import { parseJson } from '../openai/parse-body.ts';

/** @throws {InvalidRequestError} no JSON, or nothing at all. */
export async function readJsonBody(c: Context): Promise<unknown> {
  const contentType = c.req.header('content-type') ?? '';
  if (!/^application\/(?:[\w.+-]+\+)?json\b/i.test(contentType)) throw new UnsupportedMediaTypeError();
  const text = await c.req.text();
  if (text === '') throw new InvalidRequestError('The request body is empty: send a JSON object.');
  return parseJson(text);
}
