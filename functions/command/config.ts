import { isLoopback } from '../../layers/network/is-loopback.ts';

export interface CommandConfig {
  /** Base URL with `/v1`, without a slash at its end. */
  readonly url: string;
  readonly key: string;
}

/** @throws a sentence for the person at the terminal. */
export function loadCommandConfig(env: Readonly<Record<string, string | undefined>> = process.env): CommandConfig {
  const url = env['PENSTOCK_URL'] || 'http://127.0.0.1:8080/v1';
  if (!URL.canParse(url)) throw new Error('PENSTOCK_URL must be the address of a gateway, such as https://api.example/v1.');
  const key = env['PENSTOCK_API_KEY'] || (isLoopback(new URL(url).hostname) ? 'sk-local' : undefined);
  if (key === undefined) throw new Error(`PENSTOCK_API_KEY must hold an API key with the scope admin for ${url}.`);
  return { url: url.replace(/\/+$/, ''), key };
}
