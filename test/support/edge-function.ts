import { chooseRegionCode } from '../../infra/edge/choose-region.ts';

/**
 * Runs the function that chooses a region as CloudFront does: JavaScript runtime 2.0, with its one module.
 * @param edge region of the edge location. @param drained what the key-value store holds under that key.
 * @returns the domain that the request goes to, and the request as it goes on.
 */
export async function runEdgeFunction(
  domains: Readonly<Record<string, string>>,
  edge: string | undefined,
  drained: string | undefined,
): Promise<string | undefined> {
  let chosen: string | undefined;
  const cf = {
    edgeLocation: { region: edge },
    kvs: () => ({ get: async () => drained ?? Promise.reject(new Error('KeyNotFound')) }),
    updateRequestOrigin: ({ domainName }: { domainName: string }) => {
      chosen = domainName;
    },
  };
  const code = chooseRegionCode(domains).replace("import cf from 'cloudfront';", '');
  const handler = new Function('cf', `${code}; return handler;`)(cf);
  const request = { uri: '/v1/chat/completions', headers: { host: { value: 'public.example' } } };
  if ((await handler({ request })) !== request) throw new Error('the request does not go on as it came');
  return chosen;
}
