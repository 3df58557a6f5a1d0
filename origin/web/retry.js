// What to do when a speaker's connection cannot be made or breaks: pure decisions.

// A speaker who was away for less than this would still find the take, had nobody ended it (a take without
// speakers ends by itself after 60 s).
const SHORTLY_MS = 45_000;
const FIRST_MS = 400;
const LONGEST_MS = 8000;

/**
 * After the server, or the way to it, has said no.
 *
 * @param {{status: number, retryAfter?: number}} refused status 0: no answer
 * @param {number} attempts how many in a row have failed, this one included
 * @param {number} random 0 ≤ random < 1: a full room shall not come back all at once
 * @returns {{again: number} | {stop: "unauthorized"|"forbidden"|"rejected"}} `again` in milliseconds
 */
export function afterRefusal({ status, retryAfter = 0 }, attempts, random) {
  if (status === 401) return { stop: "unauthorized" };
  if (status === 403) return { stop: "forbidden" };
  const passing = status === 0 || status === 408 || status === 425 || status === 429 || status >= 500;
  if (!passing) return { stop: "rejected" };
  const backoff = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(10, attempts - 1));
  return { again: Math.max(retryAfter, backoff) * (0.75 + 0.5 * random) };
}

/**
 * After a connection that stood has gone, in the light of what the server says of the room now.
 *
 * @param {object} loss
 * @param {boolean} loss.closed whether the server ended it; else the way broke
 * @param {number} loss.away milliseconds since then
 * @param {string | null} loss.take the take that we were heard in
 * @param {string} loss.name our name
 * @param {import("./room_api.js").RoomNow} room
 * @returns {"again" | "ended" | "replaced"}
 */
export function afterLoss({ closed, away, take, name }, room) {
  if (take !== null && room.take !== take && away < SHORTLY_MS) return "ended";
  if (closed && room.speakers.some((speaker) => speaker.name === name)) return "replaced";
  return "again";
}
