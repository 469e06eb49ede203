/** Proof of possession, RFC 9449: every request of a device is signed with the key that its token is bound to. */
import type { CryptoKey, JWTVerifyResult, ResolvedKey } from 'jose';
import { AuthenticationError } from '../errors.ts';
import type { Table } from '../services/table.ts';
import type { Clock } from '../services.ts';

/** Asymmetric and deterministic enough for phones and browsers: what Secure Enclave, Android Keystore and WebCrypto have. */
const ALGORITHMS = ['ES256', 'EdDSA'];
/** How far a device's clock may be off. With a nonce of ours its clock does not matter. */
const CLOCK_SKEW_SECONDS = 60;
/** A nonce is good for one to two of these. */
const NONCE_PERIOD_SECONDS = 300;
const REPLAYS = 'dpop-replays';

/** The proof is missing or wrong. `error` is RFC 9449's; the answer carries a nonce for the next try. */
class DpopError extends AuthenticationError {
  override readonly headers: Readonly<Record<string, string>>;
  constructor(error: 'invalid_dpop_proof' | 'use_dpop_nonce' | 'invalid_token', message: string, nonce: string) {
    super(message);
    this.headers = { 'www-authenticate': `DPoP error="${error}", algs="${ALGORITHMS.join(' ')}"`, 'dpop-nonce': nonce };
  }
}

export interface ProvenRequest {
  readonly method: string;
  /** Without query and fragment. */
  readonly url: string;
  readonly accessToken: string;
  /** The header `DPoP`. */
  readonly proof: string | undefined;
}

export interface DpopVerifier {
  /** @returns the thumbprint (RFC 7638) of the key that signed. @throws {DpopError} */
  verify(request: ProvenRequest): Promise<string>;
  /** What a device puts into its next proof. */
  nonce(): Promise<string>;
}

export function createDpopVerifier(table: Table, clock: Clock): DpopVerifier {
  let secret: Promise<CryptoKey> | undefined;
  const nonceOf = async (period: number): Promise<string> => {
    secret ??= loadSecret(table);
    secret.catch(() => {
      secret = undefined;
    });
    const mac = await crypto.subtle.sign('HMAC', await secret, new TextEncoder().encode(String(period)));
    return Buffer.from(mac).toString('base64url');
  };
  const period = () => Math.floor(clock.now() / 1000 / NONCE_PERIOD_SECONDS);
  const nonce = () => nonceOf(period());

  return {
    nonce,
    async verify({ method, url, accessToken, proof }) {
      const refuse = async (message: string, error: ConstructorParameters<typeof DpopError>[0] = 'invalid_dpop_proof') =>
        new DpopError(error, message, await nonce());
      if (proof === undefined) throw await refuse('This token is bound to a device: send the header DPoP with a proof of its key.');
      const { calculateJwkThumbprint, EmbeddedJWK, errors, jwtVerify } = await import('jose');
      let verified: JWTVerifyResult & ResolvedKey;
      try {
        verified = await jwtVerify(proof, EmbeddedJWK, {
          typ: 'dpop+jwt',
          algorithms: ALGORITHMS,
          requiredClaims: ['jti', 'htm', 'htu', 'iat', 'ath'],
          currentDate: new Date(clock.now()),
        });
      } catch (error) {
        if (!(error instanceof errors.JOSEError)) throw error;
        throw await refuse('The DPoP proof is no JWT of type dpop+jwt that its own key has signed.');
      }
      const { payload, protectedHeader } = verified;
      if (payload['htm'] !== method) throw await refuse('The DPoP proof is for another method.');
      if (!isSameUrl(payload['htu'], url)) throw await refuse('The DPoP proof is for another URL.');
      if (payload['ath'] !== (await digest(accessToken))) throw await refuse('The DPoP proof is for another token.');
      if (payload['nonce'] !== (await nonceOf(period())) && payload['nonce'] !== (await nonceOf(period() - 1))) {
        throw await refuse('Put the nonce of the header DPoP-Nonce into the proof.', 'use_dpop_nonce');
      }
      const age = clock.now() / 1000 - (payload.iat ?? 0);
      if (age < -CLOCK_SKEW_SECONDS || age > 2 * NONCE_PERIOD_SECONDS) throw await refuse('The DPoP proof is not of now.');
      const { jti } = payload;
      if (typeof jti !== 'string' || jti.length > 128) throw await refuse('The DPoP proof needs a jti of at most 128 characters.');
      const jkt = await calculateJwkThumbprint(protectedHeader.jwk ?? {});
      const seen = await table.write({
        type: 'put',
        key: { partition: `${REPLAYS}/${jkt}`, sort: await digest(jti) },
        attributes: {},
        // Its nonce is not good any more by then.
        expiresAt: Math.ceil(clock.now() / 1000) + 2 * NONCE_PERIOD_SECONDS + CLOCK_SKEW_SECONDS,
        if: [{ row: 'absent' }],
      });
      if (!seen.written) throw await refuse('The DPoP proof was used before: make a new one for every request.');
      return jkt;
    },
  };
}

/** RFC 9449 4.3: compared after normalisation, without query and fragment. */
function isSameUrl(claimed: unknown, actual: string): boolean {
  if (typeof claimed !== 'string' || !URL.canParse(claimed)) return false;
  const [one, other] = [new URL(claimed), new URL(actual)];
  return one.origin === other.origin && one.pathname === other.pathname;
}

async function digest(text: string): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))).toString('base64url');
}

/** One secret for all processes, made by whoever needs it first. */
async function loadSecret(table: Table): Promise<CryptoKey> {
  const made = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64url');
  const { row } = await table.write({
    type: 'put',
    key: { partition: 'dpop-nonce-secret', sort: 'secret' },
    attributes: { secret: made },
    if: [{ row: 'absent' }],
  });
  const bytes = Buffer.from(String(row?.attributes['secret'] ?? made), 'base64url');
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
}
