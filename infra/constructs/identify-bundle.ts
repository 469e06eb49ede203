import { readdirSync } from 'node:fs';
import { AssetHashType, type AssetOptions, FileSystem } from 'aws-cdk-lib';

const CODE_CACHE = '.cache';

/**
 * A bundle is another one when its code is. What V8 compiled of it counts by its name alone, which tells processor and version: now and then
 * V8 makes other bytes of the same code, and the function would be deployed again for nothing.
 * @param folder of one bundle, as `functions/bundle.ts` writes it.
 */
export function identifyBundle(folder: string): Pick<AssetOptions, 'assetHash' | 'assetHashType'> {
  const caches = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith(CODE_CACHE));
  const assetHash = FileSystem.fingerprint(folder, { exclude: [`**/*${CODE_CACHE}`], extraHash: caches.toSorted().join() });
  return { assetHash, assetHashType: AssetHashType.CUSTOM };
}
