/** A reverse proxy that does nothing but pass bytes on: what one more process on the way costs by itself. `bare-proxy.ts PORT TARGET`. */
import { Agent, createServer, request } from 'node:http';

const [port = '', target = ''] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true });

createServer((incoming, response) => {
  const call = request(new URL(incoming.url ?? '/', target), { method: incoming.method, headers: incoming.headers, agent }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  call.on('error', () => response.destroy());
  incoming.pipe(call);
}).listen(Number(port), '127.0.0.1', () => process.stdout.write('listening\n'));
