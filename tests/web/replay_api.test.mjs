import assert from "node:assert/strict";
import { test } from "node:test";

import { ReplayApi } from "../../origin/web/replay_api.js";
import { edited } from "../../origin/web/replay_host.js";

const SAID = {
  room: "evening",
  take: "20260703T170000Z-ab2cd3",
  state: "ready",
  title: "Evening, 3 July 2026",
  published: false,
  chapters: [{ sample: 48_000, seconds: 1, title: "One" }],
  own: { title: null, chapters: null },
};

function server(status, body) {
  const asked = [];
  const get = async (path, options) => {
    asked.push({ path, ...options });
    return new Response(status === 204 ? null : JSON.stringify(body), { status });
  };
  return { asked, api: new ReplayApi("evening", SAID.take, "secret", get) };
}

test("a host's replay is read", async () => {
  const { api, asked } = server(200, SAID);
  assert.deepEqual(await api.ask(), {
    title: "Evening, 3 July 2026", ownTitle: "", chapters: [{ at: 1, sample: 48_000, title: "One" }],
    published: false, private: false,
  });
  assert.equal(asked[0].path, `/rooms/evening/replays/${SAID.take}`);
  assert.equal(asked[0].headers.Authorization, "Bearer secret");
});

test("who is no host, and what is not finished, gets nothing", async () => {
  assert.equal(await server(403, { error: "no" }).api.ask(), null);
  assert.equal(await server(200, { state: "finishing" }).api.ask(), null);
});

test("a change is sent as it is, and answered with what there is now", async () => {
  const { api, asked } = server(200, { ...SAID, published: true });
  const { replay } = await api.change({ published: true });
  assert.equal(replay.published, true);
  assert.equal(asked[0].method, "PATCH");
  assert.equal(asked[0].body, '{"published":true}');
});

test("what the server will not do, it says why", async () => {
  assert.deepEqual(await server(409, { error: "somebody else edits" }).api.change({}), { complaint: "somebody else edits" });
  assert.equal(await server(503, {}).api.remove(), "the server answered 503");
  assert.equal(await server(204).api.remove(), null);
});

test("a server that does not answer is said to", async () => {
  const api = new ReplayApi("evening", SAID.take, null, async () => { throw new TypeError("no way"); });
  assert.equal(await api.remove(), "the server does not answer");
  assert.equal(await api.ask(), null);
});

test("a chapter whose time nobody has touched keeps its sample", () => {
  const rows = [
    { sample: 48_123, before: "0:01", time: "0:01", title: "Renamed" },
    { sample: 96_000, before: "0:02", time: "1:00", title: "Moved" },
    { sample: null, before: undefined, time: "2:30", title: "New" },
  ];
  assert.deepEqual(edited(rows), [
    { sample: 48_123, title: "Renamed" }, { seconds: 60, title: "Moved" }, { seconds: 150, title: "New" },
  ]);
});
