// Where is the live edge now?
//
// A playlist says where it was when the playlist was made; between two playlists it moves on with real time.
// Each playlist arrives late by the network and never early, so the earliest arrival seen (relative to the
// media it ends with) is the best guess of the offset between the media's time and ours. The listener's wall
// clock plays no part in it: it may be hours wrong.

// A minimum is kept for one to two of these periods: long against a bad minute of a network, short against
// the drift of two clocks (100 ppm make 12 ms in 2 minutes).
const PERIOD = 120;

export class LiveEdge {
  #offsets = [];
  #since = null;

  /** A playlist that ends at media time `end` has arrived at `now` (both in seconds). */
  observe(end, now) {
    const offset = now - end;
    if (this.#since === null || now - this.#since >= PERIOD) {
      this.#offsets = [offset, ...this.#offsets].slice(0, 2);
      this.#since = now;
    } else {
      this.#offsets[0] = Math.min(this.#offsets[0], offset);
    }
  }

  /** The media time that is being published at `now`, or null before the first playlist. */
  at(now) {
    if (this.#offsets.length === 0) return null;
    return now - Math.min(...this.#offsets);
  }
}
