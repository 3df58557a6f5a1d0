// Is the room live, and which take is it? `/listen/{room}.json` says it to all who have the page open. Who wants to
// hear looks at the playlists too: two small requests that every cache on the way may answer. Nobody else does,
// because who asks for playlists is counted as a listener.

/**
 * @typedef {{live: boolean, take: string | null}} News what a room is at; `take` is its last one
 *
 * @typedef {{kind: "live"|"ended", take: string, url: string} | {kind: "absent"} | {kind: "starting"} |
 *   {kind: "unreachable"}} Answer
 */

// Longer than the server takes to say that it has nothing yet (6 s).
const PATIENCE_MS = 9000;

/**
 * What is to be heard by the news alone; null: by the playlists.
 *
 * @param {string} room @param {News | null} news @param {boolean} wanted whether somebody wants to hear
 * @returns {Answer | null}
 */
export function answerOf(room, news, wanted) {
  if (news === null || (news.live && wanted)) return null;
  if (news.take === null) return { kind: "absent" };
  return { kind: news.live ? "live" : "ended", take: news.take, url: address(room) };
}

/**
 * What the playlists say.
 *
 * @param {string} room
 * @param {typeof fetch} get
 * @returns {Promise<Answer>}
 */
export async function probe(room, get) {
  const url = address(room);
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

function address(room) {
  return `/live/${encodeURIComponent(room)}/index.m3u8`;
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
