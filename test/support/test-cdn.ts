import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What stands in front of a gateway in AWS: passes requests on with headers of its own, and answers as they come. */
export async function startTestCdn(
  gatewayUrl: string,
  headers: Readonly<Record<string, string>>,
): Promise<{ readonly url: string } & AsyncDisposable> {
  const { hostname, port } = new URL(gatewayUrl);
  const server = createServer((incoming, outgoing) => {
    const forward = httpRequest(
      { host: hostname, port, method: incoming.method, path: incoming.url, headers: { ...incoming.headers, ...headers } },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      },
    );
    forward.on('error', () => outgoing.destroy());
    incoming.pipe(forward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, // a TCP server has a port
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}
