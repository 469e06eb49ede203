/** HTTP as bytes: what clients send that no client library would. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** Sends bytes and reads until the server closes, or until `until` has seen enough. */
export async function exchange(port: number, bytes: string, until: (text: string) => boolean = () => false): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => undefined); // a reset is an answer too
  socket.write(bytes);
  try {
    return await readUntil(socket, until);
  } finally {
    socket.destroy();
  }
}

/** What a socket says until it has said enough, or closes. A reset counts as its end. */
export async function readUntil(socket: Socket, until: (text: string) => boolean): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let text = '';
  const listen = (piece: Buffer) => {
    text += piece.toString('latin1');
    if (until(text)) resolve();
  };
  const end = () => resolve();
  socket.on('data', listen).on('error', end).on('end', end).on('close', end);
  await promise;
  socket.off('data', listen).off('error', end).off('end', end).off('close', end);
  return text;
}

/** Answers that have a `content-length` or none at all (then the connection's end is theirs), one after the other. */
export function parseAnswers(text: string): readonly RawAnswer[] {
  const answers: RawAnswer[] = [];
  let rest = text;
  while (rest !== '') {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) throw new Error(`no head: ${rest.slice(0, 200)}`);
    const [statusLine = '', ...lines] = rest.slice(0, end).split('\r\n');
    const headers = new Map(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const status = Number(statusLine.split(' ')[1]);
    const length = Number(headers.get('content-length') ?? rest.length);
    answers.push({ status, headers, body: rest.slice(end + 4, end + 4 + length) });
    rest = rest.slice(end + 4 + length);
  }
  return answers;
}

/** A connection that is open. */
export async function openSocket(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1' });
  socket.on('error', () => undefined); // the server may close it at any time
  await once(socket, 'connect');
  return socket;
}
