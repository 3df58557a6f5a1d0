// An instant of a replay in its page's address: `#t=754`, `#t=12:34` or `#t=1:02:34`.
//
// The names and the forms are those of Media Fragments URI 1.0 (4.2.1, Normal Play Time), which players know too;
// an end after a comma is left aside.

const CLOCK = /^(?:npt:)?(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,9}(?:\.\d{1,9})?)(?:,.*)?$/;

/** @param {string} hash `location.hash` @returns {number | null} seconds; null where it names none */
export function momentIn(hash) {
  return secondsOf(new URLSearchParams(hash.replace(/^#/, "")).get("t") ?? "");
}

/**
 * "754" → 754, "12:34" → 754, "1:02:34.5" → 3754.5
 *
 * @param {string} text @returns {number | null}
 */
export function secondsOf(text) {
  const match = CLOCK.exec(text.trim());
  if (match === null) return null;
  const [h, m, s] = match.slice(1).map((digits) => Number(digits ?? 0));
  const carries = (match[2] !== undefined && s >= 60) || (match[1] !== undefined && m >= 60);
  return carries ? null : h * 3600 + m * 60 + s;
}

/** @param {number} seconds @returns {string} what stands after the `#`; whole seconds do for people */
export function momentHash(seconds) {
  return `t=${Math.max(0, Math.floor(seconds))}`;
}
