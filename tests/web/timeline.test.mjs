import assert from "node:assert/strict";
import { test } from "node:test";

import { chapterAt, covers, drawn, heights, total } from "../../origin/web/timeline.js";

const CHAPTERS = [{ at: 0, title: "One" }, { at: 10, title: "Two" }, { at: 20.00001, title: "Three" }];

test("a chapter lasts until the next one", () => {
  assert.deepEqual([0, 9.9, 10, 20, 21, 1e9].map((at) => chapterAt(CHAPTERS, at)), [0, 0, 1, 2, 2, 2]);
});

test("before the first chapter there is none", () => {
  assert.equal(chapterAt([{ at: 5, title: "Late" }], 4.9), -1);
  assert.equal(chapterAt([], 0), -1);
});

test("a thousand chapters are found as three are", () => {
  const many = Array.from({ length: 1000 }, (_, index) => ({ at: index * 2, title: "" }));
  for (const index of [0, 1, 499, 998, 999]) assert.equal(chapterAt(many, index * 2 + 1.5), index);
});

test("a span begins with its first instant and ends before its last", () => {
  const spans = [[1, 2], [4, 6]];
  assert.deepEqual([0.9, 1, 1.9, 2, 3, 4, 5.9, 6].map((at) => covers(spans, at)),
    [false, true, true, false, false, true, true, false]);
  assert.equal(covers([], 1), false);
  assert.equal(total(spans), 3);
});

test("spans too short to be seen are seen, and those that would touch are one", () => {
  assert.deepEqual(drawn([[0, 1], [50, 50.001], [80, 90], [90.2, 95]], 100, 100), [[0, 2], [50, 52], [80, 95]]);
  assert.deepEqual(drawn([[99.99, 100]], 100, 100), [[98, 100]], "nor beyond the end");
});

test("a bar is as tall as what is heard in it", () => {
  const quiet = [-8, 8];
  const loud = [-64, 64];
  const found = heights(Int8Array.from([...quiet, ...quiet, ...loud, ...loud]), 4, 2);
  assert.equal(found[1], 1, "the loudest fills the picture");
  assert.ok(found[0] > 0 && found[0] < 0.1, String(found[0]));
});

test("a silent recording is not made loud", () => {
  assert.deepEqual([...heights(new Int8Array(20), 10, 5)], [0, 0, 0, 0, 0]);
  const whisper = heights(Int8Array.from([-1, 1, -1, 1]), 2, 2);
  assert.ok(whisper[0] < 0.1);
});

test("what nobody has measured is silence, wherever it is missing", () => {
  const found = heights(Int8Array.from([-100, 100]), 4, 4);
  assert.deepEqual([...found].map((height) => height > 0), [true, false, false, false]);
});

test("there may be more bars than pixels", () => {
  const found = heights(Int8Array.from([-100, 100, -50, 50]), 2, 7);
  assert.equal(found.length, 7);
  assert.ok(found.every((height) => height > 0.3));
});
