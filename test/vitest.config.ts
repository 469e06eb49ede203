import { defineConfig } from 'vitest/config';

/** Two projects: most tests are quick; those that synthesise stacks or run the real model get a longer limit. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          root: new URL('..', import.meta.url).pathname,
          include: ['test/**/*.test.ts'],
          exclude: ['test/infra/**', 'test/e2e/**', 'test/bench/**', 'test/vllm/**'],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'infra',
          root: new URL('..', import.meta.url).pathname,
          include: ['test/infra/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
      {
        test: {
          name: 'e2e',
          root: new URL('..', import.meta.url).pathname,
          include: ['test/e2e/**/*.test.ts'],
          globalSetup: [],
          testTimeout: 120_000,
          hookTimeout: 300_000,
        },
      },
    ],
  },
});
