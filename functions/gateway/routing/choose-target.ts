/**
 * Which endpoint answers. A prompt goes where its session was before or, when it names none, where its beginning was computed before: rendezvous
 * hashing over the session, or over the hash chain of the token blocks, gives the same target in every process, without a router that remembers. Affinity yields to load: a target that has more
 * than its share under way is passed over (bounded load), and one whose circuit is open or that failed this very answer comes last. Targets in
 * other regions stand in when those of the own region do not answer.
 * Thaler and Ravishankar 1998 (rendezvous), Mirrokni et al. 2018 (bounded loads).
 */
import type { Continuation } from '../../../models/catalog.ts';
import type { EndpointTarget } from '../services.ts';
import { nameOf, type TargetHealth } from './target-health.ts';

export interface WeightedTarget extends EndpointTarget {
  /** Share of the requests; 0 takes none unless nothing else is left. */
  readonly weight: number;
  /** What it promises of answers that another call began. */
  readonly continuation: Continuation;
}

/** What a call names: where it goes, without what we know of the place. */
export function withoutRouting({ weight: _weight, continuation: _continuation, ...target }: WeightedTarget): EndpointTarget {
  return target;
}

/** Token ids of one block, as engines cache them. */
const BLOCK = 16;
/** So many blocks decide: a system prompt's length, not a conversation's. */
const DECIDING_BLOCKS = 16;
/** A target takes at most this many times its share of what is under way. */
const BOUND = 1.25;

/** @param request with `isContinued`, only targets that go on with what another call began are asked. */
export function chooseTarget(
  allTargets: readonly WeightedTarget[],
  health: TargetHealth,
  request: {
    readonly promptTokenIds: readonly number[];
    /** Names the session that it belongs to. */
    readonly sessionId?: string | undefined;
    readonly isContinued?: boolean;
    readonly tried: readonly EndpointTarget[];
    readonly nowMs: number;
  },
): WeightedTarget {
  const targets = request.isContinued === true ? allTargets.filter((target) => target.continuation !== 'none') : allTargets;
  const [first] = targets;
  if (first === undefined) throw new Error('a model has at least one target, and one that goes on when its answers may');
  if (targets.length === 1) return first;
  const tried = new Set(request.tried.map(nameOf));
  const total = targets.reduce((sum, target) => sum + health.of(target).outstanding, 0) + 1;
  const weights = targets.reduce((sum, target) => sum + target.weight, 0);
  const key = request.sessionId === undefined ? prefixKey(request.promptTokenIds) : `session ${request.sessionId}`;
  const ranked = targets
    .map((target) => {
      const share = weights === 0 ? 1 / targets.length : target.weight / weights;
      return {
        target,
        tries: tried.has(nameOf(target)) ? 1 : 0,
        unfit: health.isOpen(target, request.nowMs) || target.weight === 0 ? 1 : 0,
        isRemote: target.region === undefined ? 0 : 1,
        overloaded: health.of(target).outstanding + 1 > Math.ceil(BOUND * share * total) ? 1 : 0,
        // Weighted rendezvous: -weight / ln(uniform) is the largest for a target in proportion to its weight.
        score: target.weight === 0 ? 0 : -target.weight / Math.log(hashToUnit(`${key}|${nameOf(target)}`)),
        load: health.of(target).outstanding,
      };
    })
    .sort(
      (one, other) =>
        one.unfit + one.tries - (other.unfit + other.tries) ||
        one.isRemote - other.isRemote ||
        one.overloaded - other.overloaded ||
        (one.overloaded === 1 ? one.load - other.load : 0) ||
        other.score - one.score,
    );
  return ranked[0]?.target ?? first;
}

/** Names the beginning of a prompt by the hash chain of its first whole blocks; a prompt shorter than a block by all of it. */
function prefixKey(tokenIds: readonly number[]): string {
  const blocks = Math.min(DECIDING_BLOCKS, Math.floor(tokenIds.length / BLOCK));
  const length = blocks === 0 ? tokenIds.length : blocks * BLOCK;
  let hash = FNV_OFFSET;
  for (let at = 0; at < length; at += 1) hash = mix(hash, tokenIds[at] ?? 0);
  return hash.toString(16);
}

const FNV_OFFSET = 0x811c9dc5;

function mix(hash: number, value: number): number {
  let mixed = Math.imul(hash ^ value, 0x01000193);
  mixed ^= mixed >>> 15;
  return mixed >>> 0;
}

/** In (0, 1). FNV-1a with murmur3's finalizer, which spreads what FNV leaves close together. */
function hashToUnit(text: string): number {
  let hash = FNV_OFFSET;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  hash ^= hash >>> 16;
  return ((hash >>> 0) + 0.5) / 2 ** 32;
}
