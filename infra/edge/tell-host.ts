/**
 * A line of the CDN's functions. The header `host` has to be the gateway's own address when a request arrives there; devices prove their keys
 * for the public one (RFC 9449, `htu`). Whatever a caller puts into this header is overwritten.
 */
export const TELL_HOST = `event.request.headers['x-penstock-host'] = { value: event.request.headers.host.value };`;

/** The CDN's own function where there is one region to choose from. */
export const tellHostCode = `function handler(event) {
  ${TELL_HOST}
  return event.request;
}
`;
