// The wish to be on air, kept through everything that breaks: networks that change, servers that restart.
//
// A session that is gone is replaced by a new one under the same name; the server lets the newer one take over.
// Before it calls again, the page looks at the room: a take that the host has ended is not begun anew, and two
// windows of one person do not throw each other out for ever.

import { afterLoss, afterRefusal } from "./retry.js";

// After the network has changed, or an old session was found dead: nearly at once, but not all at the same instant.
const SOON_MS = 200;
// Somebody who left is still listed while the last of their sound is heard.
const LINGER_MS = 1500;
// So many looks at the room without us in it: our session is dead, whatever the browser believes.
const MISSED_LOOKS = 3;
const LONG_AWAY_MS = 45_000;
// How long a connection may take. Chromium without any network but the loopback never gets its first one done, and
// every later one at once.
const PATIENCE_MS = 10_000;
const FIRST_PATIENCE_MS = 4000;

/** Events: "change" (read `facts` again). */
export class Speaking extends EventTarget {
  #open;
  #ask;
  #now;
  #random;
  #wish = null;
  #session = null;
  #turn = 0;
  #timer = null;
  #abort = null;
  #attempts = 0;
  // What broke, until it is mended: {closed, at, seen}.
  #loss = null;
  #missed = 0;
  #doubted = false;
  #facts = {
    wanted: false, connected: false, wasOnAir: false, full: false, stopped: null, message: "", silenced: false,
    take: null, reconnects: 0,
  };

  /**
   * @param {object} world
   * @param {(wish: object) => Promise<import("./whip.js").WhipSession>} world.open
   * @param {() => Promise<object>} world.ask `RoomApi.ask`
   * @param {() => number} world.now milliseconds, never going back
   * @param {() => number} world.random
   */
  constructor({ open, ask, now = () => performance.now(), random = Math.random }) {
    super();
    this.#open = open;
    this.#ask = ask;
    this.#now = now;
    this.#random = random;
  }

  get facts() {
    return { ...this.#facts };
  }

  get session() {
    return this.#session;
  }

  /** @param {{url: string, name: string, track: MediaStreamTrack, maxBitrate: number}} wish */
  start(wish) {
    this.#hangUp();
    this.#wish = wish;
    this.#attempts = 0;
    this.#loss = null;
    this.#set({
      wanted: true, wasOnAir: false, full: false, stopped: null, message: "", silenced: false, take: null, reconnects: 0,
    });
    this.#soon(0);
  }

  stop() {
    this.#end(null);
  }

  /** Another microphone or another way of taking its sound, while on air or not. */
  async change({ track, maxBitrate }) {
    if (this.#wish === null) return;
    this.#wish = { ...this.#wish, track, maxBitrate };
    const session = this.#session;
    await session?.replaceTrack(track);
    await session?.limit(maxBitrate);
  }

  /** The network is another one, or is back. */
  hurry() {
    if (this.#facts.wanted && !this.#facts.connected && this.#timer !== null) this.#soon(SOON_MS * this.#random());
  }

  /** What the server says of the room; asked after `connected` became true. */
  look(room) {
    if (!this.#facts.connected) return;
    const { take, name } = { take: this.#facts.take, name: this.#wish.name };
    if (take !== null && room.take !== take) {
      this.#end("ended");
      return;
    }
    const mine = room.speakers.find((speaker) => speaker.name === name);
    if (mine !== undefined) {
      this.#missed = 0;
      this.#doubted = false;
      this.#set({ take: room.take, silenced: mine.muted });
    } else if (take !== null) {
      this.#missed += this.#doubted ? MISSED_LOOKS : 1;
      if (this.#missed >= MISSED_LOOKS) this.#lose(false);
    }
  }

  /** The server did not answer. If it comes back without us in the room, it was started again. */
  doubt() {
    this.#doubted = true;
  }

  #soon(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#try(), delay);
  }

  async #try() {
    this.#timer = null;
    this.#abort?.abort();
    this.#abort = new AbortController();
    this.#turn += 1;
    const turn = this.#turn;
    // A page that was left, or another attempt, has overtaken this one.
    const stale = () => turn !== this.#turn || !this.#facts.wanted;
    try {
      if (this.#loss !== null && !await this.#mayReturn(stale)) return;
      const patience = this.#attempts === 0 ? FIRST_PATIENCE_MS : PATIENCE_MS;
      const session = await this.#open({ ...this.#wish, patience, signal: this.#abort.signal });
      if (stale()) session.close();
      else this.#onAir(session);
    } catch (error) {
      if (!stale()) this.#refused(error);
    }
  }

  /** Look at the room first. False: it was decided otherwise. */
  async #mayReturn(stale) {
    const answer = await this.#ask();
    if (stale()) return false;
    if (answer.kind === "unreachable") throw Object.assign(new Error("The server does not answer."), { status: 0 });
    if (answer.kind === "refused") throw Object.assign(new Error(answer.message), { status: answer.status });
    const away = this.#now() - this.#loss.at;
    const verdict = afterLoss(
      { closed: this.#loss.closed, away, take: this.#facts.take, name: this.#wish.name }, answer.room,
    );
    if (verdict === "replaced" && !this.#loss.seen) {
      this.#loss.seen = true;
      this.#soon(LINGER_MS);
      return false;
    }
    if (verdict !== "again") {
      this.#end(verdict);
      return false;
    }
    if (away >= LONG_AWAY_MS) this.#set({ take: null });
    return true;
  }

  #onAir(session) {
    this.#session = session;
    this.#attempts = 0;
    this.#missed = 0;
    this.#doubted = false;
    session.addEventListener("lost", ({ detail }) => {
      if (session === this.#session) this.#lose(detail.closed);
    });
    const reconnects = this.#facts.reconnects + (this.#loss === null ? 0 : 1);
    this.#loss = null;
    // The microphone may have changed while the connection was made.
    session.replaceTrack(this.#wish.track);
    this.#set({ connected: true, wasOnAir: true, full: false, message: "", reconnects });
  }

  #lose(closed) {
    this.#hangUp();
    this.#loss = { closed, at: this.#now(), seen: false };
    this.#set({ connected: false });
    this.#soon(SOON_MS * this.#random());
  }

  #refused(error) {
    this.#attempts += 1;
    const next = afterRefusal({ status: error.status ?? 0, retryAfter: error.retryAfter }, this.#attempts, this.#random());
    if (next.stop === undefined) {
      const full = error.status === 503;
      // What fails once is mended before anybody has read why.
      this.#set({ full, message: full || this.#attempts > 1 ? error.message : "" });
      this.#soon(next.again);
      return;
    }
    // Who was on air with this very token and may not any more was removed.
    const removed = next.stop === "forbidden" && this.#facts.wasOnAir;
    this.#end(removed ? "removed" : next.stop, error.message);
  }

  #end(stopped, message = "") {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#abort?.abort();
    this.#hangUp();
    this.#wish = null;
    this.#set({ wanted: false, connected: false, full: false, stopped, message });
  }

  #hangUp() {
    const session = this.#session;
    this.#session = null;
    session?.close();
  }

  #set(changes) {
    Object.assign(this.#facts, changes);
    this.dispatchEvent(new Event("change"));
  }
}
