// From where, and by which addresses, one room is listened to: Where decides the base, Admission opens the door.

import { Admission } from "./admission.js";
import { seconds } from "./seconds.js";
import { HOME, Where, readWhere } from "./where.js";

const PATIENCE_MS = 4000;
// When the server has not said where to listen: it may know soon.
const AGAIN = 5;
const SOON = 1;
const NOWHERE = { live: false, take: null };

export class Place {
  /** The room's title; "" as long as it is not known. */
  title = "";
  /** Whether the room is known to whoever asks as we do; null: not asked yet. @type {boolean | null} */
  found = null;
  /** What the room is at, as the server has said last; null: it could not. @type {import("./probe.js").News | null} */
  news = null;
  /** How often the listener has moved. */
  moves = 0;
  #path;
  #home;
  #get;
  #where = new Where();
  #admission;
  #askAt = -Infinity;
  #asking = null;
  #shut = false;

  /**
   * @param {string} room
   * @param {{token: string | null, listen: string | null}} brought see Admission
   * @param {string} home `location.origin`
   * @param {typeof fetch} get @param {string} server see Admission
   */
  constructor(room, brought, home, get, server = "") {
    this.#path = `/listen/${encodeURIComponent(room)}.json`;
    this.#home = home;
    this.#get = get;
    this.#admission = new Admission(room, brought, get, server);
  }

  /** The address of `path` (`/live/…`) from here, as it is at this moment. */
  address(path) {
    return this.#where.base + this.#admission.prefix + path;
  }

  get base() {
    return this.#where.base;
  }

  get tier() {
    return this.#where.tier;
  }

  /** Whether the room is let into by token only. */
  get private() {
    return this.#admission.signed;
  }

  /** Why the room cannot be heard here. @returns {"private" | "expired" | null} */
  get refusal() {
    return this.#shut ? this.#admission.refusal : null;
  }

  /** Whether the room is shut for want of an answer to the invitation alone. */
  get unheard() {
    return this.#shut && this.#admission.unheard;
  }

  /** As `fetch`, for a path; what becomes of it is noted. */
  async get(path, options = {}) {
    const { base } = this;
    try {
      const response = await this.#fetch(this.address(path), options);
      this.report(base, response.status);
      return response;
    } catch (error) {
      this.report(base, 0);
      throw error;
    }
  }

  /** A request to `base` was answered with this status; 0: it was not. Without a network no base is at fault. */
  report(base, status, now = seconds()) {
    if (status === 503) {
      // A room that stands still gets it from everywhere. So does everybody from an edge that has lost its origins,
      // but such an edge cannot say where to listen either.
      if (base !== HOME) this.#askAt = Math.min(this.#askAt, now + SOON);
    } else if (status > 0 && status < 500) {
      this.#where.answered(base);
      // The token is over, or this base has never heard of its key: which of both, the next answer says.
      if (status === 403) this.#askAt = Math.min(this.#askAt, now);
    } else if (globalThis.navigator?.onLine !== false && this.#where.failed(base, now)) {
      this.#fellHome(now);
    }
  }

  /** What the server has said of the room is over: ask soon, and not all who know it at once. */
  doubt(now = seconds()) {
    this.#askAt = Math.min(this.#askAt, now + 2 * SOON * Math.random());
  }

  /** Call it often while the room is of interest: asks where to listen and renews the token, when it is time. */
  async tend(now = seconds()) {
    await this.#admission.tend(now);
    if (now < this.#askAt && this.#asking === null) return;
    this.#asking ??= this.#ask(now).finally(() => { this.#asking = null; });
    await this.#asking;
  }

  async #ask(now) {
    const { base } = this;
    this.#askAt = now + (base === HOME ? AGAIN : SOON);
    const response = await this.#admission.knock((prefix) => this.#read(base, prefix), now);
    const status = response?.status ?? 0;
    this.news = null;
    if (status === 0 || status >= 500) {
      this.report(base, status === 503 ? 502 : status, now);
    } else if (this.#admission.shuts(status) && base !== HOME) {
      this.#where.leave(now);
      this.#fellHome(now);
    } else {
      this.#where.answered(base);
      this.#shut = this.#admission.shuts(status);
      this.found = response.ok;
      const said = response.ok ? await response.json().catch(() => null) : null;
      if (status === 404) this.news = NOWHERE;
      if (said !== null) await this.#learn(readWhere(said, this.#home), now);
    }
  }

  /** Not all who fell at the same moment ask the origin at once. */
  #fellHome(now) {
    this.moves += 1;
    this.#askAt = now + 2 * SOON * Math.random();
  }

  async #learn(told, now) {
    this.title = told.title;
    this.news = { live: told.live, take: told.take };
    this.#admission.signed &&= told.private;
    this.#admission.renewal = told.renew ?? this.#admission.renewal;
    this.#askAt = now + told.askAgain * (0.75 + 0.5 * Math.random());
    const next = this.#where.told(told, now, Math.random());
    if (next === null) return;
    // It is tried first. So a base that does not work costs nothing, and one that does has a connection when the
    // next part is due, whose hold-back is shorter than three round trips.
    const answer = await this.#read(next.base, this.#admission.prefix);
    if (answer?.ok) {
      this.#where.settle(next);
      this.moves += 1;
    } else {
      this.#where.shun(next.base, now);
    }
  }

  #read(base, prefix) {
    const options = { signal: AbortSignal.timeout(PATIENCE_MS) };
    return this.#fetch(base + prefix + this.#path, options).catch(() => null);
  }

  #fetch(url, options) {
    return this.#get(url, { ...options, credentials: "omit", referrerPolicy: "no-referrer" });
  }
}
