// Where a room is heard: at its origin while it is small, from an edge when it grows, from the CDN at scale. The
// server says which (GET /listen/{room}.json); here is decided what one listener makes of it, so that nobody goes
// back and forth. Time is in seconds, and passed in.

/** The page's own origin. */
export const HOME = "";

const TIERS = ["origin", "edge", "cdn"];
// A room that shrinks is in no hurry; one answer may come from a cache, or from an origin that has just started.
const DOWN_AFTER = 2;
// hls.js asks for a playlist and a part at the same time: more than two are more than one moment.
const FAILURES = 3;
// For so long nobody comes back to a base that has failed.
const SHUNNED = 60;
const ASK_AGAIN = 10;
const [SOONEST, LATEST] = [1, 60];

export class Where {
  /** The base that is listened at: what stands before `/live/…` in every address. */
  base = HOME;
  /** The tier that the server meant with it; null when it has not said yet, or has been left in trouble. */
  tier = null;
  #failures = 0;
  #shunned = new Map();
  #lower = { tier: null, times: 0 };

  /**
   * The server has said where to listen.
   *
   * @param {{tier: string, bases: string[]}} told @param {number} now @param {number} random 0 ≤ random < 1
   * @returns {{base: string, tier: string} | null} where to go, if it is fit (`settle`, else `shun`); null: stay
   */
  told({ tier, bases }, now, random) {
    if (!this.#agreed(tier)) return null;
    if (bases.includes(this.base)) {
      this.tier = tier;
      return null;
    }
    const open = bases.filter((base) => !(this.#shunned.get(base) > now));
    // Where none of them works, the way here still does.
    return open.length === 0 ? null : { base: open[Math.floor(random * open.length)], tier };
  }

  /** The listener has moved. */
  settle({ base, tier }) {
    this.base = base;
    this.tier = tier;
    this.#failures = 0;
  }

  /** Leave `base` alone for a while. */
  shun(base, now) {
    this.#shunned.set(base, now + SHUNNED);
  }

  /** A request has been answered. @param {string} base where it went: not always where one listens now */
  answered(base) {
    if (base === this.base) this.#failures = 0;
  }

  /** A request got no answer. @returns {boolean} whether that was once too often, and the way leads home now */
  failed(base, now) {
    if (base !== this.base || base === HOME) return false;
    this.#failures += 1;
    if (this.#failures < FAILURES) return false;
    this.leave(now);
    return true;
  }

  /** Home at once: what is listened at does not know the room. */
  leave(now) {
    this.shun(this.base, now);
    this.settle({ base: HOME, tier: null });
  }

  /** Up at once, down when it has been said twice. */
  #agreed(tier) {
    if (this.tier === null || rank(tier) >= rank(this.tier)) {
      this.#lower = { tier: null, times: 0 };
      return true;
    }
    this.#lower = { tier, times: this.#lower.tier === tier ? this.#lower.times + 1 : 1 };
    if (this.#lower.times < DOWN_AFTER) return false;
    this.#lower = { tier: null, times: 0 };
    return true;
  }
}

function rank(tier) {
  return TIERS.indexOf(tier);
}

/**
 * What `/listen/{room}.json` says, made safe to use.
 *
 * @param {object} said the server's JSON @param {string} home `location.origin`
 * @returns {{title: string, live: boolean, take: string | null, private: boolean, tier: string, bases: string[],
 *   askAgain: number, renew: string | null}}
 */
export function readWhere(said, home) {
  const bases = (Array.isArray(said.bases) ? said.bases : []).map((base) => baseOf(base, home));
  const known = bases.filter((base) => base !== null);
  return {
    title: typeof said.title === "string" ? said.title : "",
    live: said.live === true,
    take: typeof said.take === "string" ? said.take : null,
    private: said.private === true,
    tier: TIERS.includes(said.tier) ? said.tier : "origin",
    bases: known.length > 0 ? known : [HOME],
    askAgain: Math.min(LATEST, Math.max(SOONEST, Number(said.ask_again) || ASK_AGAIN)),
    renew: typeof said.renew === "string" ? said.renew : null,
  };
}

/** Without the slash at its end, and HOME under whichever name; null for what is no address of a server. */
function baseOf(base, home) {
  if (base === HOME) return HOME;
  try {
    const { protocol, origin, pathname } = new URL(base);
    if (protocol !== "https:" && protocol !== "http:") return null;
    const plain = origin + pathname.replace(/\/+$/, "");
    return plain === home ? HOME : plain;
  } catch {
    return null;
  }
}
