/** A child for the supervisor's tests: answers 200, and obeys `/exit/CODE`. Arguments: a port, and optionally words to die with at once. */
import { createServer } from 'node:http';

const [port, lastWords] = process.argv.slice(2);
if (lastWords !== undefined) {
  process.stderr.write(`${lastWords}\n`);
  process.exit(3);
}
createServer((request, response) => {
  const code = /^\/exit\/(\d+)$/.exec(request.url ?? '')?.[1];
  response.end(String(process.pid), () => {
    if (code !== undefined) process.exit(Number(code));
  });
}).listen(Number(port), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
