// Where in a take somebody listens: how far behind live, who speaks there, since when it stands still; and going
// elsewhere.

import { Follower, bufferAhead } from "./follower.js";
import { NOTHING, happeningAt } from "./happening.js";
import { seconds } from "./seconds.js";
import { liveWithin } from "./words.js";

export class Playhead {
  /** Whether sound has come in this take. */
  started = false;
  #media;
  #follower;
  #engine = null;

  constructor(media) {
    this.#media = media;
    this.#follower = new Follower(media);
  }

  /** @param {EventTarget} engine what plays from now on */
  begin(engine) {
    this.started = false;
    this.#engine = engine;
    this.#follower.restart();
  }

  /** Nothing plays any more. */
  end() {
    this.started = false;
    this.#engine = null;
  }

  /** Call it ten times a second while the listener wants to hear. */
  tick(now) {
    if (this.#engine !== null) this.#follower.tick(this.#engine, now);
  }

  goLive() {
    this.#follower.goLive(this.#engine, seconds());
  }

  /** To so many seconds behind the live edge. */
  seekBehind(behind) {
    const edge = this.#engine.edgeAt(seconds());
    if (edge === null) return;
    this.#follower.following = false;
    // A second inside the window, which moves on while the seek is under way.
    this.#media.currentTime = Math.max(this.#engine.oldest + 1, edge - behind);
  }

  /** After a pause so long that live is far away, the listener goes on where it was. */
  goOn() {
    if ((this.behind ?? 0) > this.near) this.#follower.following = false;
  }

  /** How long it has stood still although nobody asked it to, in seconds. */
  get stalled() {
    const still = this.#follower.stillSince;
    return still === null ? 0 : seconds() - still;
  }

  /** Seconds behind live of what is heard; null while nothing is. */
  get behind() {
    return this.started ? (this.#engine?.behind(seconds()) ?? null) : null;
  }

  /** How far behind live still is live, in seconds. */
  get near() {
    return liveWithin(this.#follower.target(this.#part));
  }

  /** How far one can scrub back, in seconds. */
  get window() {
    const edge = this.#engine?.edgeAt(seconds()) ?? null;
    return edge === null ? 0 : Math.max(0, edge - this.#engine.oldest);
  }

  /** The instant, by the room's clock, of what is heard now; milliseconds since 1970 or null. */
  get date() {
    return this.started ? (this.#engine?.date ?? null) : null;
  }

  /** Who speaks and in which chapter, in what is heard now. */
  get happening() {
    const { date } = this;
    return date === null ? NOTHING : happeningAt(this.#engine.ranges, date);
  }

  /** What `stateOf` wants to know of it. */
  get facts() {
    return { started: this.started, stalled: this.stalled, behind: this.behind ?? 0, near: this.near };
  }

  /** For tests and for the curious. */
  get diagnostics() {
    return {
      ...this.facts,
      behind: this.behind,
      part: this.#part,
      target: this.#follower.target(this.#part),
      margin: this.#follower.margin,
      rate: this.#media.playbackRate,
      following: this.#follower.following,
      stalls: this.#follower.stalls,
      position: this.#media.currentTime,
      date: this.date,
      ...this.happening,
      ...bufferAhead(this.#media),
    };
  }

  get #part() {
    return this.#engine?.part ?? 0;
  }
}
