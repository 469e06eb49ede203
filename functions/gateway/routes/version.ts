import manifest from '../../../package.json' with { type: 'json' };

/** `GET /version` */
export function showVersion(): { version: string } {
  return { version: manifest.version };
}
