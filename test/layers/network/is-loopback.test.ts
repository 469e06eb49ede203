import { describe, expect, it } from 'vitest';
import { isLoopback } from '../../../layers/network/is-loopback.ts';

describe('isLoopback', () => {
  it('knows the addresses that only this machine can call', () => {
    for (const host of ['localhost', '127.0.0.1', '127.255.0.9', '::1', '::ffff:127.0.0.1']) expect(isLoopback(host), host).toBe(true);
    for (const host of ['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', 'example.com', '127.0.0.1.example.com', '', 'localhost.evil.example']) {
      expect(isLoopback(host), host).toBe(false);
    }
  });
});
