import { describe, expect, it } from 'vitest';
import { HELP, readSettings } from '../../../models/local/settings.ts';

describe('readSettings', () => {
  it('takes options before the environment, and the environment before defaults', () => {
    expect(readSettings([], {})).toMatchObject({ host: '127.0.0.1', port: 8080, slots: 8, ggufFile: undefined });
    expect(readSettings([], { PORT: '9000', HOST: '127.0.0.2' })).toMatchObject({ host: '127.0.0.2', port: 9000 });
    expect(readSettings(['--port', '9001'], { PORT: '9000' })).toMatchObject({ port: 9001 });
    expect(readSettings(['--model', 'some.gguf'], {})).toMatchObject({ ggufFile: expect.stringMatching(/^\/.*some\.gguf$/) });
  });

  it('knows a cache folder of its own and takes another', () => {
    expect(readSettings([], { PENSTOCK_CACHE: '/tmp/elsewhere' })).toMatchObject({ cacheFolder: '/tmp/elsewhere' });
    expect(readSettings([], { XDG_CACHE_HOME: '/tmp/xdg' })).toMatchObject({ cacheFolder: expect.stringMatching(/penstock$/) });
  });

  it('tells every problem at once', () => {
    expect(() => readSettings(['--port', '0', '--slots', 'many'], {})).toThrow(/--port[\s\S]*--slots/);
    expect(() => readSettings(['--nonsense'], {})).toThrow('--nonsense');
  });

  it('serves the default embedding model unless it is told otherwise', () => {
    expect(readSettings([], {})).toMatchObject({ embeddings: 'default' });
    expect(readSettings(['--no-embeddings'], {})).toMatchObject({ embeddings: 'none' });
    expect(readSettings(['--embeddings', '/mine'], {})).toMatchObject({ embeddings: { folder: '/mine' } });
    expect(() => readSettings(['--embeddings', '/mine', '--no-embeddings'], {})).toThrow('exclude each other');
  });

  it('explains each option in --help', () => {
    expect(readSettings(['--help'], {})).toBe('help');
    for (const option of [
      '--port',
      '--host',
      '--model',
      '--context',
      '--slots',
      '--queue',
      '--threads',
      '--embeddings',
      '--no-embeddings',
      '--faults',
      'PENSTOCK_API_KEY',
      'PENSTOCK_CACHE',
    ]) {
      expect(HELP).toContain(option);
    }
  });
});
