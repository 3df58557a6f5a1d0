// The way into a private room: a listen token in the path of everything that is asked for (`/p/TOKEN/live/…`). An
// invitation (a JWT) is exchanged for one, again and again while the page listens; a bare one is used as it is.

import { authorization, expired } from "./token.js";

const PATIENCE_MS = 8000;
// Of a token's life, when the next one is fetched: more tries fit into what is left.
const RENEW_AT = 2 / 3;
// What is said of lives is not believed below and beyond this: the clocks of listeners may be hours wrong.
const [SHORTEST, LONGEST] = [6, 86_400];
// After a failure, and between two exchanges of an invitation that lets nobody in.
const AGAIN = 5;

/**
 * @typedef {"private" | "expired"} Refusal
 */

export class Admission {
  /** "/p/TOKEN", or "" as long as there is none. */
  path = "";
  /** Whether a token has been needed. */
  signed = false;
  /** Why there is none, where the server has said so. @type {Refusal | null} */
  refusal = null;
  /** Whether an invitation waits for an answer: what is shut may be open to it. */
  unheard = false;
  /** Where invitations are exchanged. */
  renewal;
  #invitation;
  #bare;
  #get;
  #renewAt = Infinity;
  #mayTryAt = -Infinity;
  #exchanging = null;
  // What has let in before.
  #opened = null;

  /**
   * @param {string} room
   * @param {{token: string | null, listen: string | null}} brought an invitation; a bare listen token
   * @param {typeof fetch} get @param {string} server where invitations are known; "": where the page comes from
   */
  constructor(room, { token, listen }, get, server = "") {
    this.renewal = `${server}/rooms/${encodeURIComponent(room)}/listen-token`;
    this.#invitation = token;
    this.#bare = listen;
    this.#get = get;
  }

  /** What stands before `/live/…` in an address now. */
  get prefix() {
    return this.signed ? this.path : "";
  }

  /**
   * Ask as often as there are keys to try; without one first, unless one has been needed before.
   *
   * @param {(prefix: string) => Promise<Response | null>} ask @param {number} now seconds
   * @returns {Promise<Response | null>}
   */
  async knock(ask, now) {
    let response = await ask(this.prefix);
    while (this.shuts(response?.status)) {
      if (await this.enter(this.prefix, now)) {
        this.signed = true;
      } else if (this.signed) {
        // What the token does not open (any more) may have become public.
        this.signed = false;
        return await ask("");
      } else {
        return response;
      }
      response = await ask(this.prefix);
    }
    if (this.signed && response?.ok) this.#opened = this.path;
    return response;
  }

  /** Who has no key is told that there is nothing; who has a good one, only where that is true. */
  shuts(status) {
    return status === 401 || status === 403 || (status === 404 && !this.signed);
  }

  /**
   * The door was shut: find another key. `false`: there is none, and `refusal` may say why.
   *
   * @param {string} tried what stood before the path that was refused @param {number} now seconds
   * @returns {Promise<boolean>}
   */
  async enter(tried, now) {
    if (this.path !== "" && this.path !== tried) return true;
    if (this.#invitation !== null && now >= this.#mayTryAt) await this.#exchange(now);
    if (this.path !== tried) return true;
    if (this.#bare === null) return false;
    const bare = `/p/${this.#bare}`;
    if (tried === bare) {
      // Of one that never let in, only its second part says whether it once was good: by the listener's own clock.
      const over = Number(this.#bare.split(".").at(-2)) * 1000 <= Date.now();
      this.refusal = over || this.#opened === bare ? "expired" : "private";
      return false;
    }
    this.path = bare;
    return true;
  }

  /** Call it often: renews the token when it is time. @param {number} now seconds */
  async tend(now) {
    if (now >= this.#renewAt) await this.#exchange(now);
  }

  #exchange(now) {
    this.#exchanging ??= this.#ask(now).finally(() => { this.#exchanging = null; });
    return this.#exchanging;
  }

  async #ask(now) {
    this.#mayTryAt = now + AGAIN;
    if (this.#renewAt < Infinity) this.#renewAt = now + AGAIN;
    const response = await this.#get(this.renewal, {
      method: "POST",
      headers: authorization(this.#invitation),
      cache: "no-store",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      signal: AbortSignal.timeout(PATIENCE_MS),
    }).catch(() => null);
    this.unheard = response === null || response.status >= 500;
    const date = Date.parse(response?.headers.get("date") ?? "") || Date.now();
    if (response?.status === 401 || response?.status === 403) {
      this.refusal = expired(this.#invitation, date) ? "expired" : "private";
      this.#renewAt = Infinity;
    }
    if (!response?.ok) return;
    const { path, expires } = await response.json().catch(() => ({}));
    if (typeof path !== "string" || !path.startsWith("/p/")) return;
    this.path = path;
    this.refusal = null;
    const life = Math.min(LONGEST, Math.max(SHORTEST, expires - date / 1000 || 0));
    this.#renewAt = now + RENEW_AT * life;
  }
}
