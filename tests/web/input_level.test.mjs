import assert from "node:assert/strict";
import { test } from "node:test";

import { LevelJudge } from "../../origin/web/input_level.js";

/** Ten looks a second for `seconds`, each with this peak and level. */
function feed(judge, from, seconds, peak, level) {
  let now = from;
  for (; now < from + seconds * 1000; now += 100) judge.push(peak, level, now);
  return now;
}

test("a room's noise is neither silence nor too loud", () => {
  const judge = new LevelJudge();
  const now = feed(judge, 0, 30, 0.001, 0);
  assert.deepEqual(judge.judge(now, false), { loud: false, silent: false, unheard: false });
});

test("nothing at all for four seconds is a switch or a cable, until something comes", () => {
  const judge = new LevelJudge();
  let now = feed(judge, 0, 3.5, 0, 0);
  assert.equal(judge.judge(now, false).silent, false);
  now = feed(judge, now, 1, 0, 0);
  assert.equal(judge.judge(now, false).silent, true);
  now = feed(judge, now, 0.1, 0.001, 0);
  assert.equal(judge.judge(now, false).silent, false);
});

test("a clipped peak is told for three seconds", () => {
  const judge = new LevelJudge();
  judge.push(1, 1, 1000);
  assert.equal(judge.judge(3900, false).loud, true);
  assert.equal(judge.judge(4100, false).loud, false);
});

test("speech while muted is noticed; a cough is not; and not once it is over", () => {
  const judge = new LevelJudge();
  let now = feed(judge, 0, 0.3, 0.5, 0.8);
  assert.equal(judge.judge(now, true).unheard, false);
  now = feed(judge, now, 1.5, 0.5, 0.8);
  assert.equal(judge.judge(now, true).unheard, true);
  assert.equal(judge.judge(now, false).unheard, false);
  now = feed(judge, now, 3, 0.001, 0);
  assert.equal(judge.judge(now, true).unheard, false);
});
