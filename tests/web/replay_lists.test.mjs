import assert from "node:assert/strict";
import { test } from "node:test";

import { leadTo } from "../../origin/web/replay_link.js";
import { replaysOf } from "../../origin/web/rooms.js";
import { heard, speakingAt } from "../../origin/web/speaker_lanes.js";

const kept = (take, startedAt) => ({
  take, title: take, started_at: startedAt, seconds: 60, page: `/replay/r/${take}`,
});

test("replays of all rooms are in the order of time, newest first", () => {
  const rooms = [
    { room: "a", title: "", live: false, replays: [kept("a2", "2026-07-03T10:00:00Z"), kept("a1", "2026-07-01T10:00:00Z")] },
    { room: "b", title: "Bees", live: true, replays: [kept("b1", "2026-07-02T10:00:00Z")] },
    { room: "c", title: "From a server that knows of none", live: true },
  ];
  assert.deepEqual(replaysOf(rooms).map(({ take, roomTitle }) => [take, roomTitle]), [["a2", "a"], ["b1", "Bees"], ["a1", "a"]]);
});

test("who heard a take is led to that one", () => {
  const replays = [kept("new", ""), kept("heard", "")];
  assert.equal(leadTo(replays, "heard").href, "/replay/r/heard");
});

test("as long as that is not there, an older one is not taken for it", () => {
  assert.equal(leadTo([kept("older", "")], "heard"), null);
});

test("who comes too late is led to the last one, if there is any", () => {
  assert.equal(leadTo([kept("last", ""), kept("older", "")], null).href, "/replay/r/last");
  assert.equal(leadTo([], null), null);
});

test("who spoke most stands first, who never spoke nowhere", () => {
  const speakers = [
    { name: "Ann", spoke: [[0, 5]] }, { name: "Silent", spoke: [] }, { name: "Bo", spoke: [[5, 8], [10, 20]] },
  ];
  assert.deepEqual(heard(speakers).map(({ name }) => name), ["Bo", "Ann"]);
  assert.deepEqual(speakingAt(speakers, 11), ["Bo"]);
});
