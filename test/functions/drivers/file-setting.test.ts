import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe } from 'vitest';
import { createFileSetting } from '../../../functions/drivers/file-setting.ts';
import { testSettingText } from '../../contracts/setting-text.ts';

describe('a setting in a file', () => {
  const folders: string[] = [];
  afterAll(async () => {
    for (const folder of folders) await rm(folder, { recursive: true, force: true });
  });
  testSettingText(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'penstock-setting-'));
    folders.push(folder);
    const path = join(folder, 'switches.json');
    return { setting: createFileSetting(path), edit: (text) => writeFile(path, text), unreadable: createFileSetting(folder) };
  });
});
