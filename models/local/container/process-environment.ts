import { compileCache } from '../cache-folder.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What the container's process must find in its environment when it starts, less what is set already. glibc raises its threshold for
 * memory maps of their own up to 32 MB, and caches that grow and go would leave holes in its heaps: 110 MB after 8 answers of 256 tokens.
 * A fixed threshold gives them back. Of its heaps each thread fills one of its own: two, for the engine's thread and for all others, hold 7 MB less.
 * Weights in huge pages are found sooner: a step takes 4 to 5 % less.
 */
export function processEnvironment(
  env: Environment,
): Record<'MALLOC_MMAP_THRESHOLD_' | 'MALLOC_ARENA_MAX' | 'GLIBC_TUNABLES' | 'NODE_COMPILE_CACHE', string> {
  return {
    MALLOC_MMAP_THRESHOLD_: env['MALLOC_MMAP_THRESHOLD_'] ?? '131072',
    MALLOC_ARENA_MAX: env['MALLOC_ARENA_MAX'] ?? '2',
    GLIBC_TUNABLES: env['GLIBC_TUNABLES'] ?? 'glibc.malloc.hugetlb=1',
    ...compileCache(env),
  };
}

/** Starts the process anew, under the same id, when it was started without that. Where the system cannot, it goes on as it is. */
export function ensureProcessEnvironment(env: Environment): void {
  if (process.platform !== 'linux' || process.execve === undefined || env['MALLOC_MMAP_THRESHOLD_'] !== undefined) return;
  const argv = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve(process.execPath, argv, { ...env, ...processEnvironment(env) });
}
