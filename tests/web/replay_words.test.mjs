import assert from "node:assert/strict";
import { test } from "node:test";

import { WORDS, day, dayAndTime, lasting, ofGaps, spoken } from "../../origin/web/replay_words.js";

test("lengths are said as people say them", () => {
  const said = [0.2, 45, 59.4, 59.6, 101.8, 754, 3570, 3600, 3720, 10_800].map(lasting);
  assert.deepEqual(said, ["1 s", "45 s", "59 s", "59 s", "1 min 41 s", "13 min", "1 h", "1 h", "1 h 2 min", "3 h"]);
});

test("instants are spoken to the second", () => {
  const said = [-1, 0, 59.9, 60, 754, 3600, 3754].map(spoken);
  assert.deepEqual(said, ["0 s", "0 s", "59 s", "1 min", "12 min 34 s", "1 h", "1 h 2 min 34 s"]);
});

test("a day is one of the reader's own", () => {
  const instant = Date.UTC(2026, 6, 3, 23, 30);
  assert.equal(day(instant, "UTC"), "3 July 2026");
  assert.equal(day(instant, "Europe/Berlin"), "4 July 2026");
  assert.equal(dayAndTime(instant, "Europe/Berlin"), "4 July 2026 at 01:30");
});

test("gaps are told, none are not", () => {
  assert.equal(ofGaps(0, 0), "");
  assert.match(ofGaps(1, 30), /a gap in one place, 30 s in all/);
  assert.match(ofGaps(3, 400), /a gap in 3 places, 7 min in all/);
});

test("every state has a word", () => {
  for (const [word] of Object.values(WORDS)) assert.ok(word.length > 0);
});
