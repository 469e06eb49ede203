import { recogniseApiKeys } from './api-keys.ts';
import { recogniseDatesOfBirth } from './dates-of-birth.ts';
import { recogniseEmail } from './email.ts';
import { recogniseGenericSecrets } from './generic-secrets.ts';
import { recogniseNationalIds } from './national-ids.ts';
import { recogniseNetworkAddresses, recogniseUrlCredentials } from './network.ts';
import { recogniseCards, recogniseIban } from './payment.ts';
import { createPhoneRecogniser } from './phones.ts';
import type { Recogniser } from './run.ts';
import { recogniseWallets } from './wallets.ts';

/** Every recogniser, the surest first: what one has taken, the next ones leave alone. */
export function createRecognisers(phoneCountries: readonly string[]): readonly Recogniser[] {
  return [
    recogniseApiKeys,
    recogniseUrlCredentials,
    recogniseEmail,
    recogniseIban,
    recogniseCards,
    recogniseWallets,
    recogniseNetworkAddresses,
    recogniseNationalIds,
    recogniseDatesOfBirth,
    createPhoneRecogniser(phoneCountries),
    recogniseGenericSecrets,
  ];
}
