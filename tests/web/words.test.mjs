import assert from "node:assert/strict";
import { test } from "node:test";

import { WORDS, clock, liveWithin, spell, stateOf, takeStart } from "../../origin/web/words.js";

const playing = {
  room: "live", reachable: true, playable: true, wanted: true, started: true, finished: false, heard: true,
  stalled: 0, behind: 0.5, near: 3,
};
const before = { ...playing, started: false, heard: false, behind: 0 };

const TABLE = [
  ["connecting", { ...before, room: "unknown" }],
  ["connecting", before],
  ["connecting", { ...before, room: "starting" }],
  ["ready", { ...before, wanted: false }],
  ["waiting", { ...before, room: "absent" }],
  ["waiting", { ...before, room: "ended" }],
  ["live", playing],
  ["live", { ...playing, stalled: 0.3 }],
  ["live", { ...playing, reachable: false }],
  ["behind", { ...playing, behind: 40 }],
  ["behind", { ...playing, behind: 4 }],
  ["live", { ...playing, behind: 4, near: 5 }],
  ["paused", { ...playing, wanted: false }],
  ["returning", { ...playing, stalled: 1 }],
  ["returning", { ...before, room: "unknown", reachable: false }],
  ["returning", { ...before, heard: true }],
  ["live", { ...playing, room: "ended" }],
  ["ended", { ...playing, room: "ended", finished: true }],
  ["connecting", { ...playing, finished: true }],
  ["ended", { ...playing, room: "absent" }],
  ["unplayable", { ...playing, playable: false }],
  ["private", { ...before, room: "absent", refusal: "private" }],
  ["expired", { ...before, room: "absent", refusal: "expired" }],
  ["live", { ...playing, refusal: "expired" }],
];

test("who is as near as long parts allow is live, and short parts make nobody stricter", () => {
  assert.deepEqual([0, 0.8, 4.01].map(liveWithin), [3, 3, 5.01]);
});

for (const [state, facts] of TABLE) {
  const changes = Object.entries(facts).filter(([key, value]) => playing[key] !== value);
  test(`${state} when ${changes.map(([key, value]) => `${key}=${value}`).join(" ") || "all is well"}`, () => {
    assert.equal(stateOf(facts), state);
    assert.ok(WORDS[state][0].length > 0);
  });
}

test("distances are spelt for people", () => {
  const said = [0, 0.62, 9.949, 9.96, 59.4, 75, 3700].map(spell);
  assert.deepEqual(said, ["0.0 s", "0.6 s", "9.9 s", "10 s", "59 s", "1 min 15 s", "1 h 1 min"]);
});

test("elapsed time looks like a clock", () => {
  assert.deepEqual([-1, 0, 59.9, 754, 3754].map(clock), ["0:00", "0:00", "0:59", "12:34", "1:02:34"]);
});

test("a take's id says when it began", () => {
  assert.equal(takeStart("20260102T030405Z-ab2cd3"), Date.UTC(2026, 0, 2, 3, 4, 5));
  assert.equal(takeStart("nonsense"), null);
  assert.equal(takeStart(null), null);
});
