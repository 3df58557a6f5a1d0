import assert from "node:assert/strict";
import { test } from "node:test";

import { WORDS, actionOf, advice, complaint, listening, stateOf } from "../../origin/web/speak_words.js";

const ready = {
  secure: true, capable: true, microphone: "open", interrupted: false, room: "known", expired: false, wanted: false,
  connected: false, wasOnAir: false, full: false, stopped: null, muted: false, silenced: false,
};
const onair = { ...ready, wanted: true, connected: true, wasOnAir: true };

const TABLE = [
  ["ready", ready],
  ["ready", { ...ready, room: "unknown" }],
  ["insecure", { ...ready, secure: false, capable: false }],
  ["unsupported", { ...ready, capable: false }],
  ["off", { ...ready, microphone: "closed" }],
  ["left", { ...ready, microphone: "closed", wasOnAir: true }],
  ["asking", { ...ready, microphone: "asking" }],
  ["denied", { ...ready, microphone: "denied" }],
  ["none", { ...ready, microphone: "none" }],
  ["busy", { ...ready, microphone: "busy" }],
  ["interrupted", { ...ready, interrupted: true }],
  ["unauthorized", { ...ready, room: "unauthorized", microphone: "closed" }],
  ["forbidden", { ...ready, room: "forbidden" }],
  ["expired", { ...ready, room: "forbidden", expired: true }],
  ["joining", { ...ready, wanted: true }],
  ["full", { ...ready, wanted: true, full: true }],
  ["onair", onair],
  ["onair", { ...onair, room: "forbidden" }],
  ["muted", { ...onair, muted: true }],
  ["silenced", { ...onair, silenced: true, muted: true }],
  ["interrupted", { ...onair, interrupted: true }],
  ["unplugged", { ...onair, microphone: "none" }],
  ["returning", { ...onair, connected: false }],
  ["full", { ...onair, connected: false, full: true }],
  ["removed", { ...ready, wasOnAir: true, stopped: "removed" }],
  ["expired", { ...ready, wasOnAir: true, stopped: "removed", expired: true }],
  ["ended", { ...ready, wasOnAir: true, stopped: "ended" }],
  ["ended", { ...ready, wasOnAir: true, stopped: "ended", expired: true }],
  ["replaced", { ...ready, wasOnAir: true, stopped: "replaced" }],
  ["rejected", { ...ready, stopped: "rejected" }],
];

for (const [state, facts] of TABLE) {
  const changes = Object.entries(facts).filter(([key, value]) => ready[key] !== value);
  test(`${state} when ${changes.map(([key, value]) => `${key}=${value}`).join(" ") || "all is well"}`, () => {
    assert.equal(stateOf(facts), state);
  });
}

test("every state has a word, and every one that needs somebody to do something says what", () => {
  for (const [state, [word, hint]] of Object.entries(WORDS)) {
    assert.ok(word.length > 0, state);
    if (state !== "connecting" && state !== "joining") assert.ok(hint.length > 0, state);
  }
  for (const [state] of TABLE) assert.ok(state in WORDS, state);
});

test("the button opens the microphone first, then goes on air; where nothing helps there is none", () => {
  assert.equal(actionOf("off")[1], "open");
  assert.equal(actionOf("denied")[1], "open");
  for (const state of ["ready", "left", "ended", "replaced", "rejected"]) assert.equal(actionOf(state)[1], "go", state);
  for (const state of ["insecure", "unsupported", "unauthorized", "expired", "removed", "asking", "onair"]) {
    assert.equal(actionOf(state), null, state);
  }
});

test("the server's words become a sentence, and are left out where the page's own say as much", () => {
  assert.equal(complaint("forbidden", "this token is for another room"),
    "The server says: this token is for another room.");
  assert.equal(complaint("joining", "The server does not answer."), "The server does not answer.");
  assert.equal(complaint("removed", "the host has removed you from this take"), "");
  assert.equal(complaint("forbidden", ""), "");
});

test("listeners are counted in words", () => {
  assert.deepEqual([null, 0, 1, 12].map(listening),
    ["", "Nobody is listening yet", "1 person is listening", "12 people are listening"]);
});

test("the worst comes first, and nothing is said when nothing is wrong", () => {
  assert.equal(advice({}), "");
  assert.match(advice({ loud: true, silent: false }), /^Too loud/);
  assert.match(advice({ silent: true }), /^Nothing comes/);
  assert.match(advice({ unheard: true, loud: true }), /muted/);
});
