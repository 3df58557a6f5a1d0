import assert from "node:assert/strict";
import { test } from "node:test";

import { happeningAt, listed } from "../../origin/web/happening.js";

const range = (kind, second, attr) => ({ class: `com.longwave.${kind}`, startDate: new Date(1000 * second), attr });
const chapter = (second, title) => range("chapter", second, { "X-TITLE": title });
const speakers = (second, names) => range("speakers", second, { "X-SPEAKERS": names });

test("without ranges nobody speaks, in no chapter", () => {
  assert.deepEqual(happeningAt([], 5), { speakers: [], chapter: null });
});

test("a range lasts from its beginning to that of the next of its class", () => {
  const ranges = [speakers(10, "Ann"), chapter(15, "Two"), speakers(20, "Ann,Bo"), chapter(5, "One"), speakers(30, "")];
  const at = (second) => happeningAt(ranges, 1000 * second);
  assert.deepEqual(at(4.999), { speakers: [], chapter: null });
  assert.deepEqual(at(5), { speakers: [], chapter: "One" });
  assert.deepEqual(at(10), { speakers: ["Ann"], chapter: "One" });
  assert.deepEqual(at(14.999), { speakers: ["Ann"], chapter: "One" });
  assert.deepEqual(at(20), { speakers: ["Ann", "Bo"], chapter: "Two" });
  assert.deepEqual(at(1e6), { speakers: [], chapter: "Two" });
});

test("names and titles come back as they were given", () => {
  const ranges = [chapter(0, "100 %25 of %22it%22 🎙"), speakers(0, "Bob%2C Jr.,Z%C3%AB%27")];
  assert.deepEqual(happeningAt(ranges, 0), { speakers: ["Bob, Jr.", "Zë'"], chapter: '100 % of "it" 🎙' });
});

test("what others put into a playlist is shown as it stands, or not at all", () => {
  const foreign = [chapter(0, "50 % off"), range("speakers", 0, {}), { class: undefined, startDate: new Date(NaN), attr: {} }];
  assert.deepEqual(happeningAt(foreign, 0), { speakers: [], chapter: "50 % off" });
});

test("names are listed as people write them, and a crowd by its first", () => {
  assert.equal(listed([]), "");
  assert.equal(listed(["Ann"]), "Ann");
  assert.equal(listed(["Ann", "Bo"]), "Ann and Bo");
  assert.equal(listed(["Ann", "Bo", "Cy"]), "Ann, Bo and Cy");
  assert.equal(listed(["A", "B", "C", "D", "E"]), "A, B, C, D and E");
  assert.equal(listed(["A", "B", "C", "D", "E", "F"]), "A, B, C, D and 2 others");
});
