import { describe, expect, it } from 'vitest';
import { loadConfig, loadServerConfig } from '../../../functions/gateway/config.ts';

const HASH = 'a'.repeat(64);

describe('loadServerConfig', () => {
  it('has a development key on a loopback address and nowhere else', () => {
    expect(loadServerConfig({}).developmentKey).toBe('sk-local');
    expect(loadServerConfig({ HOST: '127.0.0.9' }).developmentKey).toBe('sk-local');
    expect(loadServerConfig({ PENSTOCK_API_KEY: 'sk-my-own-key' }).developmentKey).toBeUndefined();
    for (const HOST of ['0.0.0.0', '::', '192.168.1.5', '127.0.0.1.example.com']) {
      expect(() => loadServerConfig({ HOST })).toThrow(/PENSTOCK_API_KEY must be set, because HOST/);
    }
  });

  it('tells every problem at once', () => {
    const load = () =>
      loadServerConfig({
        PORT: '70000',
        MAX_BODY_BYTES: 'many',
        PENSTOCK_API_KEY: 'short',
        PENSTOCK_ORIGIN_SECRET_SHA256: 'abc',
        PENSTOCK_CATALOG: '/nowhere.json',
      });
    for (const name of ['PORT', 'MAX_BODY_BYTES', 'PENSTOCK_API_KEY', 'PENSTOCK_ORIGIN_SECRET_SHA256', 'PENSTOCK_CATALOG'])
      expect(load).toThrow(name);
  });

  it('never repeats a key in its complaint', () => {
    expect(() => loadServerConfig({ PENSTOCK_API_KEY: 'k y' })).not.toThrow('k y');
  });
});

describe('loadConfig', () => {
  it('keeps no answers for later requests where none are kept', () => {
    const settings = { PENSTOCK_API_KEY_HASHES: HASH, KEEP_ANSWERS: 'never' };
    expect(loadConfig(settings).tokenLog.keep).toBe('never');
    expect(() => loadConfig({ ...settings, CACHE_SECONDS: '60' })).toThrow('CACHE_SECONDS must be 0');
  });

  it('refuses to start a function that nobody could call', () => {
    expect(() => loadConfig({})).toThrow('PENSTOCK_API_KEY_HASHES');
    expect(loadConfig({ PENSTOCK_API_KEY_HASHES: `${HASH}, ${'B'.repeat(64)}` }).apiKeyHashes).toEqual([HASH, 'b'.repeat(64)]);
  });
});
