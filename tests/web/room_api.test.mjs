import assert from "node:assert/strict";
import { test } from "node:test";

import { RoomApi, readRoom } from "../../origin/web/room_api.js";

/** A server that answers everything alike and keeps what it was asked. */
function server(status, body) {
  const asked = [];
  const get = async (path, options) => {
    asked.push({ path, ...options });
    return new Response(status === 204 ? null : JSON.stringify(body), { status });
  };
  return { asked, get };
}

const LIVE = {
  room: "r",
  title: "Evening",
  listeners: 3,
  you: { role: "host", name: "Ann" },
  live: {
    take: "20260102T030405Z-ab2cd3",
    epoch_us: 1_700_000_000_000_000,
    sample: 48_000,
    speakers: [
      { name: "Ann", kind: "whip", speaking: true, muted: false, joined: 0 },
      { name: null, kind: "pcm", speaking: false, muted: false, joined: null },
    ],
  },
};

test("a live room is read", () => {
  assert.deepEqual(readRoom("r", LIVE), {
    title: "Evening",
    take: "20260102T030405Z-ab2cd3",
    since: 1_700_000_000_000,
    listeners: 3,
    speakers: [
      { name: "Ann", kind: "whip", speaking: true, muted: false },
      { name: null, kind: "pcm", speaking: false, muted: false },
    ],
    you: { role: "host", name: "Ann" },
  });
});

test("a room that nobody has opened yet is an empty one, under its id", async () => {
  const answer = await new RoomApi("r", null, server(404, { error: "no such room", you: { role: "host" } }).get).ask();
  assert.equal(answer.kind, "known");
  assert.equal(answer.room.you.role, "host");
  assert.deepEqual([answer.room.title, answer.room.take, answer.room.speakers], ["r", null, []]);
});

test("refusals are told apart from a server that is not there", async () => {
  const refused = await new RoomApi("r", null, server(403, { error: "another room's token" }).get).ask();
  assert.deepEqual(refused, { kind: "refused", status: 403, message: "another room's token" });
  assert.equal((await new RoomApi("r", null, server(503, {}).get).ask()).kind, "unreachable");
  const down = () => Promise.reject(new TypeError("Failed to fetch"));
  assert.equal((await new RoomApi("r", null, down).ask()).kind, "unreachable");
});

test("the token goes along in a header, never in the address", async () => {
  const { asked, get } = server(200, LIVE);
  const api = new RoomApi("r", "secret", get);
  await api.ask();
  await api.chapter("One");
  for (const { path, headers } of asked) {
    assert.equal(headers.Authorization, "Bearer secret");
    assert.ok(!path.includes("secret"));
  }
});

test("a name may hold whatever a name holds", async () => {
  const { asked, get } = server(204);
  const api = new RoomApi("r", null, get);
  assert.equal(await api.mute("Ann / Bo?"), null);
  assert.equal(await api.unmute("ü🎙"), null);
  assert.equal(await api.remove("#1"), null);
  assert.deepEqual(asked.map(({ method, path }) => `${method} ${path}`), [
    "POST /rooms/r/speakers/Ann%20%2F%20Bo%3F/mute",
    "POST /rooms/r/speakers/%C3%BC%F0%9F%8E%99/unmute",
    "DELETE /rooms/r/speakers/%231",
  ]);
});

test("what did not work says why", async () => {
  assert.equal(await new RoomApi("r", null, server(404, { error: "no such speaker" }).get).mute("Ann"), "no such speaker");
  const down = () => Promise.reject(new TypeError("Failed to fetch"));
  assert.equal(await new RoomApi("r", null, down).end(), "the server does not answer");
});
