import { expect, it } from 'vitest';
import { PUBLIC_HOST_HEADER } from '../../functions/gateway/middleware/public-origin.ts';
import { chooseRegionCode } from '../../infra/edge/choose-region.ts';
import { tellHostCode } from '../../infra/edge/tell-host.ts';

const cf = { edgeLocation: {}, kvs: () => ({ get: () => Promise.reject(new Error('KeyNotFound')) }), updateRequestOrigin: () => undefined };

it.each([
  ['one region', tellHostCode],
  ['several regions', chooseRegionCode({ 'eu-west-1': 'eu.example', 'us-west-2': 'us.example' })],
])('the function of the CDN before %s tells the host that was called, whatever the caller says of it', async (_, code) => {
  const handler = new Function('cf', `${code.replace("import cf from 'cloudfront';", '')}; return handler;`)(cf);
  const headers = {
    host: { value: 'd111111abcdef8.cloudfront.net' },
    [PUBLIC_HOST_HEADER]: { value: 'evil.example' },
    accept: { value: '*/*' },
  };
  const request = await handler({ request: { uri: '/v1/models', headers } });
  expect(request).toEqual({
    uri: '/v1/models',
    headers: {
      host: { value: 'd111111abcdef8.cloudfront.net' },
      [PUBLIC_HOST_HEADER]: { value: 'd111111abcdef8.cloudfront.net' },
      accept: { value: '*/*' },
    },
  });
});
