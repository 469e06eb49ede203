import type { GuardFormat } from './guard-format.ts';
import { llamaGuard3 } from './llama-guard.ts';
import { qwen3Guard } from './qwen3-guard.ts';

/** By the name that a setting gives. */
export const guardFormats: ReadonlyMap<string, GuardFormat> = new Map([llamaGuard3, qwen3Guard].map((format) => [format.name, format]));
