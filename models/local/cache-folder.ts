import { homedir, platform } from 'node:os';
import { join, resolve } from 'node:path';

type Environment = Readonly<Record<string, string | undefined>>;

/** `PENSTOCK_CACHE`, or where each system keeps what can be fetched again. */
export function findCacheFolder(env: Environment): string {
  return resolve(env['PENSTOCK_CACHE'] ?? defaultFolder(env));
}

function defaultFolder(env: Environment): string {
  if (platform() === 'darwin') return join(homedir(), 'Library', 'Caches', 'penstock');
  if (platform() === 'win32') return join(env['LOCALAPPDATA'] ?? join(homedir(), 'AppData', 'Local'), 'penstock');
  return join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'penstock');
}

/**
 * What a process of the local stack must find in its environment when it starts: Node keeps the JavaScript that it makes of our sources,
 * and its compiled form, in this folder, which halves the time that they take to load.
 */
export function compileCache(env: Environment): { readonly NODE_COMPILE_CACHE: string } {
  return { NODE_COMPILE_CACHE: env['NODE_COMPILE_CACHE'] ?? join(findCacheFolder(env), 'compiled') };
}
