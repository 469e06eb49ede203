import { bodyLimit } from 'hono/body-limit';
import { BodyTooLargeError } from '../errors.ts';

/** Refuses a body over the limit by its declared length, before any of it is read; a chunked one as soon as it passes the limit. */
export function limitBody(maxBytes: number) {
  return bodyLimit({
    maxSize: maxBytes,
    onError: () => {
      throw new BodyTooLargeError(maxBytes);
    },
  });
}
