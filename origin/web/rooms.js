// What the server says about its rooms: GET /rooms.json.

/**
 * @typedef {{take: string, title: string, started_at: string, seconds: number, page: string}} Kept a replay
 * @typedef {{room: string, title: string, live: boolean, take?: string, started_at?: string, listen: string,
 *   replays?: Kept[]}} Room `replays`: the newest of those that are published
 */

/**
 * @returns {Promise<{rooms: Room[], now: number}>} `now` is the server's clock in milliseconds, for "on air
 * for …": the listener's own may be wrong
 */
export async function listRooms() {
  const response = await fetch("/rooms.json", { signal: AbortSignal.timeout(8000) });
  if (!response.ok) throw new Error(`GET /rooms.json answered ${response.status}`);
  const { rooms } = await response.json();
  return { rooms, now: Date.parse(response.headers.get("date") ?? "") || Date.now() };
}

/** @returns {Promise<Room | null>} */
export async function findRoom(id) {
  try {
    const { rooms } = await listRooms();
    return rooms.find(({ room }) => room === id) ?? null;
  } catch {
    return null; // the title is a nicety; the room's id does as well
  }
}

/** Replays of all rooms, newest first. @param {Room[]} rooms @returns {(Kept & {roomTitle: string})[]} */
export function replaysOf(rooms) {
  const all = rooms.flatMap(({ room, title, replays }) => {
    return (replays ?? []).map((replay) => ({ ...replay, roomTitle: title || room }));
  });
  return all.sort((one, other) => Date.parse(other.started_at) - Date.parse(one.started_at));
}
