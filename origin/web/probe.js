// Is the room live, and which take is it? Two small requests that every cache on the way may answer.

/**
 * @typedef {{kind: "live"|"ended", take: string, url: string} | {kind: "absent"} | {kind: "starting"} |
 *   {kind: "unreachable"}} Answer
 */

// Longer than the server takes to say that it has nothing yet (6 s).
const PATIENCE_MS = 9000;

/**
 * @param {string} room
 * @param {typeof fetch} get
 * @returns {Promise<Answer>}
 */
export async function probe(room, get) {
  const url = `/live/${encodeURIComponent(room)}/index.m3u8`;
  try {
    // The playlist of a take that has ended may be kept for a minute: too long for those who wait for the next.
    const rooms = await read(url, get, "no-cache");
    if (rooms.status === 404) return { kind: "absent" };
    if (rooms.status === 503) return { kind: "starting" };
    const media = firstUri(rooms.text);
    if (media === null) return { kind: "unreachable" };
    const take = media.split("/")[0];
    const list = await read(new URL(media, new URL(url, "http://x")).pathname, get);
    if (list.status === 404) return { kind: "absent" };
    if (list.status === 503) return { kind: "starting" };
    if (list.status !== 200) return { kind: "unreachable" };
    return { kind: /^#EXT-X-ENDLIST/m.test(list.text) ? "ended" : "live", take, url };
  } catch {
    return { kind: "unreachable" };
  }
}

async function read(path, get, cache = "default") {
  const response = await get(path, { cache, signal: AbortSignal.timeout(PATIENCE_MS) });
  return { status: response.status, text: response.ok ? await response.text() : "" };
}

/** The first line of a playlist that is a URI (RFC 8216 section 4.1). */
function firstUri(text) {
  return text.split(/\r?\n/).find((line) => line !== "" && !line.startsWith("#")) ?? null;
}

/**
 * How long to wait before asking again, in milliseconds. The jitter keeps a full house from asking all at
 * once after a restart.
 *
 * @param {Answer["kind"]} kind
 * @param {number} failures how many times in a row the server could not be reached
 * @param {number} random 0 ≤ random < 1
 */
export function pause(kind, failures, random) {
  const backoff = Math.min(3000, 500 * 2 ** Math.max(0, failures - 1));
  // A take is playable two seconds after it began.
  const base = { unreachable: backoff, starting: 600 }[kind] ?? 1500;
  return base * (0.75 + 0.5 * random);
}
