import { describe, expect, it } from 'vitest';
import { readSettings } from '../../../../models/local/container/settings.ts';

describe('readSettings of the container', () => {
  it('needs a model folder alone', () => {
    expect(readSettings(['--model', 'folder'])).toMatchObject({
      modelFolder: 'folder',
      host: '127.0.0.1',
      port: 8080,
      slots: 8,
      maxQueue: 64,
    });
    expect(() => readSettings([])).toThrow('--model FOLDER');
    expect(readSettings(['--help'])).toBe('help');
  });

  it.each([
    [['--slots', '0'], '--slots must be a whole number from 1 to 256.'],
    [['--port', 'eighty'], '--port must be a whole number from 0 to 65535.'],
    [['--context', ''], '--context must be'],
    [['--speed', '9'], "Unknown option '--speed'"],
    [['stray'], 'stray'],
  ])('refuses %j in one sentence', (options, message) => {
    expect(() => readSettings(['--model', 'folder', ...options])).toThrow(message);
  });
});
