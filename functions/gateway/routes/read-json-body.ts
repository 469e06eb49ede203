import type { Context } from 'hono';
import { InvalidRequestError, UnsupportedMediaTypeError } from '../errors.ts';
import { parseJson } from '../openai/parse-body.ts';

/** @param empty what an empty body means, where it means something. @throws {InvalidRequestError} no JSON, or nothing at all. */
export async function readJsonBody(c: Context, empty?: object): Promise<unknown> {
  if (empty !== undefined && c.req.header('content-type') === undefined && (await c.req.text()) === '') return empty;
  const contentType = c.req.header('content-type') ?? '';
  if (!/^application\/(?:[\w.+-]+\+)?json\b/i.test(contentType)) throw new UnsupportedMediaTypeError();
  const text = await c.req.text();
  if (text === '' && empty !== undefined) return empty;
  if (text === '') throw new InvalidRequestError('The request body is empty: send a JSON object.');
  return parseJson(text);
}
