/** What `/v1/admin` takes. */
import * as v from 'valibot';
import { PRIORITIES, SCOPES } from '../keys/caller.ts';
import { limitsSchema } from '../keys/limits.ts';

const name = v.pipe(v.string('must be a string.'), v.regex(/^[\w .:@-]{1,64}$/, 'must be 1 to 64 letters, digits, spaces or any of _.:@-'));
export const ownerId = v.pipe(v.string('must be a string.'), v.regex(/^[\w.-]{1,64}$/, 'must be 1 to 64 letters, digits or any of _.-'));
const scopes = v.pipe(v.array(v.picklist(SCOPES, `must be any of ${SCOPES.join(', ')}.`)), v.minLength(1, 'must have at least one scope.'));
const models = v.nullable(v.array(v.string('must be a string.')));
const priority = v.picklist(PRIORITIES, `must be one of ${PRIORITIES.join(', ')}.`);
const seconds = v.pipe(v.number('must be a number.'), v.integer('must be a whole number.'), v.minValue(0), v.maxValue(10 * 365 * 86_400));

export const createKeySchema = v.strictObject({
  name,
  project_id: v.optional(ownerId, 'default'),
  organization_id: v.optional(ownerId, 'default'),
  scopes: v.optional(scopes, ['generate']),
  models: v.optional(models, null),
  priority: v.optional(priority, 'normal'),
  limits: v.optional(limitsSchema, {}),
  expires_in_seconds: v.optional(seconds),
});

export const updateKeySchema = v.strictObject({
  name: v.optional(name),
  scopes: v.optional(scopes),
  models: v.optional(models),
  priority: v.optional(priority),
  limits: v.optional(limitsSchema),
});

export const rotateKeySchema = v.strictObject({ grace_seconds: v.optional(seconds, 86_400) });

export const forgetUserSchema = v.strictObject({
  /** As requests have it in `user` or `safety_identifier`. */
  user: v.pipe(v.string('must be a string.'), v.nonEmpty('must name a user.')),
  /** The caller's own when not given. */
  organization_id: v.optional(ownerId),
});
