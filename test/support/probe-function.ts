/** A function for the tests of the Function URL bridge: it shows what it was asked, and produces each part only when a test says so. */
import { createFunctionUrlHandler, type LambdaStreaming } from '../../functions/gateway/function-url.ts';

declare const awslambda: LambdaStreaming;

/** The test's server: a GET of `/NAME` is answered when the test lets it pass. */
const gate = (name: string) => fetch(`${process.env['GATE']}/${name}`).then((response) => response.text());

const encoder = new TextEncoder();

async function answer(request: Request): Promise<Response> {
  const { pathname } = new URL(request.url);
  switch (pathname) {
    case '/gated':
      return new Response(partsBehindGates(request.signal), { headers: { 'content-type': 'text/event-stream' } });
    case '/headers': {
      const headers = new Headers({ connection: 'keep-alive, x-hop', 'keep-alive': 'timeout=5', 'x-hop': '1', 'x-kept': 'a' });
      headers.set('transfer-encoding', 'chunked');
      headers.set('content-length', '999');
      headers.append('x-kept', 'b');
      headers.append('set-cookie', 'one=1; Path=/');
      headers.append('set-cookie', 'two=2');
      return new Response('ok', { status: 207, headers });
    }
    case '/nothing':
      return new Response(null, { status: 204, headers: { 'x-kept': 'yes' } });
    case '/throws':
      throw new Error('secret words of a caller');
    case '/fails-at-once':
      return new Response(new ReadableStream({ pull: (controller) => controller.error(new Error('secret words of a caller')) }));
    case '/fails-later':
      return new Response(failsAfter('first'));
    case '/until-deadline':
      return new Response(untilAborted(request.signal));
    default:
      return Response.json({
        method: request.method,
        url: request.url,
        headers: Object.fromEntries(request.headers),
        bytes: [...new Uint8Array(await request.arrayBuffer())],
      });
  }
}

function partsBehindGates(signal: AbortSignal): ReadableStream<Uint8Array> {
  let part = 0;
  return new ReadableStream(
    {
      async pull(controller) {
        part += 1;
        if ((await gate(`part-${part}`)) === 'end') controller.close();
        else controller.enqueue(encoder.encode(`data: ${part}\n\n`));
      },
      async cancel() {
        await gate('cancelled');
        await gate(`aborted-${signal.aborted}`);
      },
    },
    { highWaterMark: 0 },
  );
}

function failsAfter(text: string): ReadableStream<Uint8Array> {
  let begun = false;
  return new ReadableStream({
    pull(controller) {
      if (begun) controller.error(new RangeError('secret words of a caller'));
      else controller.enqueue(encoder.encode(text));
      begun = true;
    },
  });
}

function untilAborted(signal: AbortSignal): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => controller.enqueue(encoder.encode('begun ')),
    pull: (controller) =>
      new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => {
          controller.enqueue(encoder.encode((signal.reason as Error).name)); // the bridge aborts with errors only
          controller.close();
          resolve();
        });
      }),
  });
}

export const handler = createFunctionUrlHandler(awslambda, answer, {
  write: (level, event, fields) => process.stdout.write(`${JSON.stringify({ level, event, ...fields })}\n`),
});
