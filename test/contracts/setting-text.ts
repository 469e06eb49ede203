/** The contract of the port `SettingText`. Every driver runs it. */
import { expect, it } from 'vitest';
import { StoreUnavailableError } from '../../functions/gateway/errors.ts';
import type { SettingText } from '../../functions/gateway/services.ts';

export interface SettingUnderTest {
  readonly setting: SettingText;
  /** As whoever runs the gateway edits it. */
  edit(text: string): Promise<void>;
  /** One that is there and cannot be read. */
  readonly unreadable: SettingText;
}

/** What every driver of the port `SettingText` must do. @param create a setting that nobody has written yet. */
export function testSettingText(create: () => Promise<SettingUnderTest>): void {
  it('has no text before somebody writes one, and then each text that is written', async () => {
    const { setting, edit } = await create();
    expect(await setting.read()).toBeUndefined();
    const longest = `{"closed": "${'é🐎'.repeat(500)}"}`; // a standard parameter holds 4 KB
    for (const text of ['{}', '{"modelsOut": ["é 🐎"]}', longest, '{']) {
      await edit(text);
      expect(await setting.read()).toBe(text);
    }
  });

  it('says so when it cannot be read, rather than that there is none', async () => {
    const { unreadable } = await create();
    await expect(unreadable.read()).rejects.toThrow(StoreUnavailableError);
  });
}
