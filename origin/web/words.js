// What the page says. `stateOf` decides from plain facts; WORDS is what people read.

// Nearer than this is "Live": a few seconds nobody can tell without a second listener beside them.
const LIVE_WITHIN = 3;
// What is added to the target, where parts are so long that nobody comes nearer.
const BESIDE_TARGET = 1;
// A pause shorter than this is not worth a word.
export const STALL_WORTH_A_WORD = 0.7;

export const WORDS = Object.freeze({
  connecting: ["Connecting", ""],
  ready: ["Live", "Press play to listen."],
  live: ["Live", ""],
  behind: ["Behind live", "You hear what was said a little while ago."],
  paused: ["Paused", "Press play to go on."],
  returning: ["Back in a moment", "The sound has stopped on the way. It goes on by itself."],
  waiting: ["This room is not live right now – waiting", "It starts by itself as soon as the room goes live."],
  private: ["This room is private", "You need an invitation: ask whoever told you of it for a link of your own."],
  expired: ["Your invitation has expired", "This room is private. Ask whoever invited you for a new link."],
  ended: ["The room has ended", "Should it come back, it plays on by itself."],
  unplayable: ["This browser cannot play the room", "It needs Media Source Extensions or native HLS."],
});

/** Said to who waits for a room that the server does not know of: a private one is not there for the uninvited. */
export const MAY_BE_PRIVATE = "It starts by itself as soon as the room goes live. A private room opens only by invitation.";

/** How far behind live is still live, for who aims at `target` behind it; seconds. */
export function liveWithin(target) {
  return Math.max(LIVE_WITHIN, target + BESIDE_TARGET);
}

/**
 * @typedef {object} Facts
 * @property {"unknown"|"starting"|"absent"|"live"|"ended"} room what the server said last
 * @property {"private"|"expired"|null} refusal why the listener is not let in
 * @property {boolean} reachable whether the server answered last time
 * @property {boolean} playable whether this browser can play HLS at all
 * @property {boolean} wanted whether the listener wants to hear it
 * @property {boolean} started whether sound has come in this take
 * @property {boolean} finished whether the take has been heard to its end
 * @property {boolean} heard whether sound has ever come on this page
 * @property {number} stalled how long the playhead has stood still, in seconds
 * @property {number} behind seconds behind live
 * @property {number} near how much of that still counts as live: `liveWithin`
 */

/** @param {Facts} facts @returns {keyof typeof WORDS} */
export function stateOf(facts) {
  if (!facts.playable) return "unplayable";
  if (facts.refusal && !facts.started) return facts.refusal;
  if (facts.room === "unknown") return facts.reachable ? "connecting" : "returning";
  if (facts.room === "starting" && !facts.started) return "connecting";
  if (facts.room === "absent") return facts.heard ? "ended" : "waiting";
  if (facts.room === "ended" && (facts.finished || !facts.started)) return facts.heard ? "ended" : "waiting";
  // Another take is on; its sound is on the way.
  if (facts.finished) return "connecting";
  if (!facts.wanted) return facts.heard ? "paused" : "ready";
  if (!facts.started) return facts.heard || !facts.reachable ? "returning" : "connecting";
  if (facts.stalled > STALL_WORTH_A_WORD) return "returning";
  return facts.behind > facts.near ? "behind" : "live";
}

/** 0.62 → "0.6 s", 75 → "1 min 15 s", 3700 → "1 h 1 min" */
export function spell(seconds) {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** 754 → "12:34", 3754 → "1:02:34" */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const pad = (n) => String(n).padStart(2, "0");
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  return h > 0 ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

/** The instant a take began, from its id `YYYYMMDDThhmmssZ-…`; milliseconds since 1970, or null. */
export function takeStart(take) {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(take ?? "");
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1).map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second);
}
