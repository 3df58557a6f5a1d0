// Holding low latency: how fast to play, and when to jump.
//
// A listener hears the room late by what lies in the buffer. Too little and the sound breaks at the next
// hiccup of the network, too much and it is not live any more. `step` looks at the buffer about ten times a
// second and answers with a playback rate (pitch is preserved, so a few per cent are not heard) or, after an
// interruption, with one jump. It has no clock and no media element; follower.js gives it both.
//
// All values are seconds of media, unless named otherwise.

export const RATE = Object.freeze({
  // A part arrives whole. Just before the next one the buffer holds one part less than just after, so two
  // parts behind the edge leaves one part for the network's moods.
  TARGET_PARTS: 2,
  // Under this much buffer Chromium's audio renderer runs dry at the slightest delay.
  FLOOR: 0.12,
  // Within this distance of the target nothing is worth a change of rate.
  NEAR: 0.02,
  // Further than NEAR but not this far: leave things as they are, so that the rate does not flutter.
  FAR: 0.06,
  // From here on the faster of the two rates.
  WIDE: 0.3,
  SLOW: 0.95,
  FAST: 1.04,
  FASTER: 1.08,
  // Above this catching up at 8 % would take longer than 20 s: jump instead. It only comes after a stall.
  JUMP: 1.5,
  // Whoever has only just begun to hear loses nothing by a jump: from here on, then.
  FIRST_JUMP: 0.15,
  // What a stall, or a look under the floor, adds to the target …
  STALL_MARGIN: 0.1,
  DIP_MARGIN: 0.03,
  // … at most this many parts of it …
  MARGIN_PARTS: 3,
  // … and how much of it a second without trouble takes away again: 0.1 s are forgotten in 20 s.
  FORGET: 0.005,
});

/**
 * @typedef {object} Memory what one step hands to the next; start with `fresh()`
 * @property {number} rate the rate in force
 * @property {number} margin what trouble has added to the target
 * @property {boolean} dipped whether the buffer was under the floor at the last step
 *
 * @typedef {object} Seen what the player sees at this moment
 * @property {number} behind distance from the live edge
 * @property {number} buffered playable media ahead of the playhead
 * @property {number} reach distance to the end of everything buffered, holes included
 * @property {number} part the playlist's PART-TARGET; 0 when it has no parts
 * @property {boolean} starting whether the sound has only just begun
 * @property {boolean} stalled whether playback has run dry since the last step
 * @property {number} elapsed time since the last step
 */

/** @returns {Memory} */
export function fresh() {
  return { rate: 1, margin: 0, dipped: false };
}

/** Where the playhead should be: seconds behind the live edge. */
export function targetBehind(part, margin) {
  return RATE.TARGET_PARTS * part + margin;
}

/**
 * @param {Memory} memory
 * @param {Seen} seen
 * @returns {{memory: Memory, rate: number, jump: number}} `jump` is how far to seek ahead, 0 for not at all
 */
export function step(memory, seen) {
  if (!(seen.part > 0)) return settled(memory, 1, memory.margin, false);
  const dipped = seen.buffered < RATE.FLOOR;
  const margin = learn(memory, seen, dipped);
  const error = seen.behind - targetBehind(seen.part, margin);
  const far = seen.starting ? RATE.FIRST_JUMP : RATE.JUMP;
  if (error > far && seen.reach >= error + RATE.FLOOR) {
    return { ...settled(memory, 1, margin, false), jump: error };
  }
  return settled(memory, chooseRate(memory.rate, error, seen, dipped), margin, dipped);
}

function settled(memory, rate, margin, dipped) {
  return { memory: { ...memory, rate, margin, dipped }, rate, jump: 0 };
}

/** Trouble widens the margin at once; quiet narrows it slowly. */
function learn(memory, seen, dipped) {
  const most = RATE.MARGIN_PARTS * seen.part;
  if (seen.stalled) return Math.min(most, memory.margin + RATE.STALL_MARGIN);
  if (dipped && !memory.dipped) return Math.min(most, memory.margin + RATE.DIP_MARGIN);
  return Math.max(0, memory.margin - RATE.FORGET * seen.elapsed);
}

function chooseRate(rate, error, seen, dipped) {
  if (dipped) return RATE.SLOW;
  // Never spend the last of the buffer to come nearer to the edge.
  const canSpend = seen.buffered > RATE.FLOOR + RATE.FAR;
  if (error > RATE.FAR && canSpend) return error > RATE.WIDE ? RATE.FASTER : RATE.FAST;
  if (error < -RATE.FAR) return RATE.SLOW;
  const arrived = Math.abs(error) <= RATE.NEAR || (rate > 1 ? error < 0 || !canSpend : error > 0);
  return arrived ? 1 : rate;
}
