// rate.js applied to a media element: what it sees, and what is done with the answer.

import { fresh, step, targetBehind } from "./rate.js";
import { liveWithin } from "./words.js";

// A hole narrower than this is played over by the browser itself.
const HOLE = 0.01;
// The sound has only just begun; the time in which playlist and buffer become what they will be.
const STARTING = 0.7;
// The playhead is looked at every 100 ms and moves in steps of some 10 ms: standing this long is a stall.
const STALL = 0.15;
// A seek that takes longer leads nowhere: what it waits for was never made.
const IN_VAIN = 1;

/** Keeps one media element near the live edge of one engine. Call `tick` about ten times a second. */
export class Follower {
  /** Whether the listener wants the live edge; false after scrubbing back or a long pause. */
  following = true;
  /** How often playback has run dry. */
  stalls = 0;
  /** Where the playhead has stood still since, or null while it moves; seconds. */
  stillSince = null;
  #media;
  #memory = fresh();
  // Since when the playhead has moved in this take, or null before; seconds.
  #begun = null;
  #lastTime = null;
  #lastTick = null;
  #stalled = false;
  #counted = false;
  #seekingSince = null;

  constructor(media) {
    this.#media = media;
    media.preservesPitch = true;
  }

  get margin() {
    return this.#memory.margin;
  }

  get rate() {
    return this.#memory.rate;
  }

  target(part) {
    return targetBehind(part, this.#memory.margin);
  }

  /** Another take, or another connection: what was learned about the network stays. */
  restart() {
    this.following = true;
    this.stillSince = null;
    this.#begun = null;
    this.#lastTime = null;
    this.#stalled = false;
    this.#setRate(1);
  }

  /** @param {import("./hls_engine.js").HlsEngine} engine @param {number} now seconds */
  tick(engine, now) {
    const media = this.#media;
    const elapsed = this.#lastTick === null ? 0 : Math.min(1, now - this.#lastTick);
    this.#lastTick = now;
    const waiting = media.seeking && !this.#seeksInVain(now);
    if (!media.seeking) this.#seekingSince = null;
    if (media.paused || waiting || media.ended) {
      this.stillSince = null;
      this.#lastTime = null;
      return;
    }
    this.#watch(now);
    if (this.stillSince !== null && this.#overHole()) return;
    const behind = engine.behind(now);
    // Whoever has come this near, by whatever way, wants to be live.
    if (behind !== null && behind <= liveWithin(this.target(engine.part))) this.following = true;
    if (behind === null || !this.following || this.#begun === null) {
      this.#setRate(1);
      return;
    }
    const ahead = bufferAhead(media);
    const starting = now - this.#begun < STARTING;
    const seen = { behind, ...ahead, part: engine.part, starting, stalled: this.#stalled, elapsed };
    const { memory, rate, jump } = step(this.#memory, seen);
    this.#memory = memory;
    this.#stalled = false;
    if (jump > 0) media.currentTime += jump;
    this.#setRate(rate);
  }

  /** To the live edge at once. */
  goLive(engine, now) {
    this.following = true;
    const edge = engine.edgeAt(now);
    if (edge === null) return;
    const aim = edge - Math.max(this.target(engine.part), engine.part > 0 ? 0 : 6);
    // Going live never means going back.
    if (aim > this.#media.currentTime) this.#media.currentTime = aim;
  }

  /** The playhead stands still although nobody asked it to. */
  #watch(now) {
    const time = this.#media.currentTime;
    const moved = this.#lastTime !== null && time !== this.#lastTime;
    if (moved) this.#begun ??= now;
    if (this.#lastTime === null || moved) {
      this.stillSince = null;
    } else if (this.stillSince === null) {
      this.stillSince = now;
    } else if (!this.#counted && this.#begun !== null && now - this.stillSince >= STALL) {
      this.stalls += 1;
      this.#stalled = true;
      this.#counted = true;
    }
    if (this.stillSince === null) this.#counted = false;
    this.#lastTime = time;
  }

  /** A nudge of the engine can end in a gap. Who follows live goes on behind it; who scrubbed back waits. */
  #seeksInVain(now) {
    this.#seekingSince ??= now;
    return this.following && now - this.#seekingSince > IN_VAIN;
  }

  /** Sound that is buffered after a hole (a gap that a restart of the server left) is better than silence. */
  #overHole() {
    const { buffered, currentTime } = this.#media;
    for (let i = 0; i < buffered.length; i += 1) {
      const start = buffered.start(i);
      if (start > currentTime + HOLE) {
        if (i > 0 && buffered.end(i - 1) > currentTime + 0.1) return false;
        this.#media.currentTime = start + HOLE;
        return true;
      }
    }
    return false;
  }

  #setRate(rate) {
    if (this.#media.playbackRate !== rate) this.#media.playbackRate = rate;
  }
}

/** `buffered`: what plays without a break from here. `reach`: to the end of everything that is loaded. */
export function bufferAhead(media) {
  const { buffered, currentTime } = media;
  let here = 0;
  for (let i = 0; i < buffered.length; i += 1) {
    if (buffered.start(i) <= currentTime + HOLE && buffered.end(i) > currentTime) here = buffered.end(i) - currentTime;
  }
  const reach = buffered.length > 0 ? Math.max(0, buffered.end(buffered.length - 1) - currentTime) : 0;
  return { buffered: here, reach };
}
