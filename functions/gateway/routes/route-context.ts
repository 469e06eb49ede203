import type { Context } from 'hono';
import type { RequestVariables } from '../middleware/request-id.ts';

/** A request that has passed the middleware. */
export type RouteContext = Context<{ Variables: RequestVariables }>;

/** Names the generation on every answer that has one: its events can be read again under this id. */
export const GENERATION_HEADER = 'x-penstock-generation';
