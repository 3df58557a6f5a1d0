// node --test tests/web/
import assert from "node:assert/strict";
import { test } from "node:test";

import { RATE, fresh, step, targetBehind } from "../../origin/web/rate.js";

const PART = 10240 / 48000;
const calm = { behind: 2 * PART, buffered: 1.5 * PART, reach: 1.5 * PART, part: PART, stalled: false, elapsed: 0.1 };

/** One listener and one room, in steps of 0.1 s: parts arrive `delay` after they end, playback eats them. */
function listen({ seconds, behind, delay = () => 0.02, part = PART }) {
  let memory = fresh();
  let [position, now, stalls, dry] = [10 - behind, 10, 0, false];
  const rates = [];
  while (now < 10 + seconds) {
    const whole = Math.floor((now - delay(now)) / part) * part;
    const buffered = Math.max(0, whole - position);
    const seen = { behind: now - position, buffered, reach: buffered, part, stalled: buffered === 0 && !dry, elapsed: 0.1 };
    if (seen.stalled) stalls += 1;
    dry = buffered === 0;
    const answer = step(memory, seen);
    memory = answer.memory;
    rates.push(answer.rate);
    position += answer.jump + Math.min(buffered, 0.1 * answer.rate);
    now += 0.1;
  }
  return { behind: now - position, stalls, rates, margin: memory.margin };
}

test("at the target it plays at the speed of life", () => {
  assert.equal(step(fresh(), calm).rate, 1);
});

test("further behind it plays faster, and the further the faster, but never past eight per cent", () => {
  const rates = [0.1, 0.2, 0.5, 1.2].map((late) => step(fresh(), { ...calm, behind: calm.behind + late }).rate);
  assert.deepEqual(rates, [1.04, 1.04, 1.08, 1.08]);
});

test("too near the edge it plays slower", () => {
  assert.equal(step(fresh(), { ...calm, behind: PART }).rate, 0.95);
});

test("with less than the floor in the buffer it slows down, however far behind", () => {
  assert.equal(step(fresh(), { ...calm, behind: 5, buffered: 0.119 }).rate, 0.95);
});

test("it does not catch up with the last of the buffer", () => {
  assert.equal(step(fresh(), { ...calm, behind: 1, buffered: RATE.FLOOR + 0.05 }).rate, 1);
});

test("a rate once chosen holds until the target is reached, so it does not flutter", () => {
  let memory = fresh();
  const rates = [0.07, 0.05, 0.03, 0.019, 0.03, 0.05].map((late) => {
    const answer = step(memory, { ...calm, behind: calm.behind + late, elapsed: 0 });
    memory = answer.memory;
    return answer.rate;
  });
  assert.deepEqual(rates, [1.04, 1.04, 1.04, 1, 1, 1]);
});

test("long after the edge it jumps once, if what lies ahead is loaded", () => {
  const late = { ...calm, behind: calm.behind + 4, buffered: 4.3, reach: 4.3 };
  const { jump, rate } = step(fresh(), late);
  assert.ok(Math.abs(jump - 4) < 1e-9);
  assert.equal(rate, 1);
});

test("at the very start it jumps to the target at once, where later it would play faster", () => {
  const late = { ...calm, behind: calm.behind + 0.5, buffered: 0.95, reach: 0.95 };
  assert.equal(step(fresh(), late).jump, 0);
  assert.ok(Math.abs(step(fresh(), { ...late, starting: true }).jump - 0.5) < 1e-9);
});

test("it does not jump into what is not loaded", () => {
  assert.equal(step(fresh(), { ...calm, behind: calm.behind + 4, reach: 0.5 }).jump, 0);
});

test("a jump may cross a hole: what counts is the end of all that is loaded", () => {
  const overHole = { ...calm, behind: calm.behind + 4, buffered: 0, reach: 4.5 };
  assert.ok(step(fresh(), overHole).jump > 3);
});

test("a stall widens the target, and quiet narrows it again", () => {
  let { memory } = step(fresh(), { ...calm, stalled: true });
  assert.equal(memory.margin, RATE.STALL_MARGIN);
  for (let i = 0; i < 201; i += 1) ({ memory } = step(memory, calm));
  assert.equal(memory.margin, 0);
});

test("a dip under the floor counts once, however long it lasts", () => {
  let memory = fresh();
  for (let i = 0; i < 5; i += 1) ({ memory } = step(memory, { ...calm, buffered: 0.05, elapsed: 0 }));
  assert.equal(memory.margin, RATE.DIP_MARGIN);
});

test("the margin has an end, however bad the network", () => {
  let memory = fresh();
  for (let i = 0; i < 100; i += 1) ({ memory } = step(memory, { ...calm, stalled: true }));
  assert.equal(targetBehind(PART, memory.margin), (RATE.TARGET_PARTS + RATE.MARGIN_PARTS) * PART);
});

test("a playlist without parts is played as it comes", () => {
  assert.deepEqual(step(fresh(), { ...calm, part: 0, behind: 20 }).rate, 1);
});

test("a listener who starts at the hold-back comes to two parts within ten seconds and stays", () => {
  const { behind, stalls, rates } = listen({ seconds: 60, behind: 3 * PART });
  assert.equal(stalls, 0);
  assert.ok(Math.abs(behind - 2 * PART) <= RATE.FAR, `behind ${behind}`);
  assert.ok(rates.slice(100).every((rate) => rate === 1), "settled");
});

test("large parts: the same", () => {
  const part = 19 * 1024 / 48000;
  const { behind, stalls } = listen({ seconds: 60, behind: 3 * part, part });
  assert.equal(stalls, 0);
  assert.ok(Math.abs(behind - 2 * part) <= RATE.FAR, `behind ${behind}`);
});

test("an unsteady network: it falls back as far as it must, and no further", () => {
  // Every third second a part comes 0.3 s late.
  const { behind, stalls, margin } = listen({
    seconds: 300, behind: 3 * PART, delay: (now) => (Math.floor(now) % 3 === 0 ? 0.3 : 0.02),
  });
  assert.ok(stalls <= 3, `${stalls} stalls`);
  assert.ok(margin > 0);
  assert.ok(behind < 5 * PART, `behind ${behind}`);
});
