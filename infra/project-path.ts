import { fileURLToPath } from 'node:url';

/** A path from the project's folder, wherever CDK was started. */
export function projectPath(path: string): string {
  return fileURLToPath(new URL(`../${path}`, import.meta.url));
}
