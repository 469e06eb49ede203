/** The container's process. */
import { SentenceError } from '../sentence-error.ts';
import { ensureProcessEnvironment } from './process-environment.ts';
import { HELP, readSettings } from './settings.ts';

try {
  const settings = readSettings(process.argv.slice(2));
  if (settings === 'help') process.stdout.write(HELP);
  else {
    ensureProcessEnvironment(settings.environment);
    const { serve } = await import('./serve.ts'); // much code, which a process that starts anew need not load twice
    await serve(settings);
  }
} catch (error) {
  process.stderr.write(`${error instanceof SentenceError ? error.message : error instanceof Error ? error.stack : error}\n`);
  process.exit(1);
}
