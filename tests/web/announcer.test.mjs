import assert from "node:assert/strict";
import { test } from "node:test";

import { Announcer } from "../../origin/web/announcer.js";

/** What is said, and when: `story` is a list of [from second, speakers, chapter]. */
function told(story, until) {
  const announcer = new Announcer();
  const said = [];
  for (let tenth = 0; tenth <= until * 10; tenth += 1) {
    const [, speakers, chapter = null] = story.findLast(([from]) => from <= tenth / 10);
    const text = announcer.step({ speakers, chapter }, tenth / 10);
    if (text !== "") said.push([tenth / 10, text]);
  }
  return said;
}

test("nobody and nothing is not worth a word", () => {
  assert.deepEqual(told([[0, []]], 100), []);
});

test("who goes on speaking is announced once", () => {
  assert.deepEqual(told([[0, []], [5, ["Ann"]]], 600), [[6.5, "Ann speaks"]]);
});

test("who only says a word is not announced", () => {
  assert.deepEqual(told([[0, []], [5, ["Ann"]], [6, []]], 60), []);
});

test("in a conversation each voice is announced once, and not on the heels of another", () => {
  const story = [];
  for (let second = 0; second < 300; second += 4) story.push([second, [["Ann"], ["Bo"], ["Cy"]][(second / 4) % 3]]);
  const said = told(story, 300);
  assert.deepEqual(said.map(([, text]) => text).sort(), ["Ann speaks", "Bo speaks", "Cy speaks"]);
  said.slice(1).forEach(([at], index) => assert.ok(at - said[index][0] >= 10));
});

test("several new voices at once are one announcement", () => {
  assert.deepEqual(told([[0, ["Ann", "Bo"]]], 30), [[1.5, "Ann and Bo speak"]]);
});

test("a voice that was silent for minutes is news again", () => {
  assert.deepEqual(told([[0, ["Ann"]], [10, []], [200, ["Ann"]]], 300), [[1.5, "Ann speaks"], [201.5, "Ann speaks"]]);
});

test("chapters are announced, whoever speaks, and also in a lively conversation", () => {
  const story = [];
  for (let second = 0; second < 30; second += 1) {
    story.push([second, second % 2 ? ["Ann"] : ["Bo"], second < 5 ? null : second < 20 ? "One" : "Two"]);
  }
  assert.deepEqual(told(story, 30), [[6.5, "Chapter: One"], [21.5, "Chapter: Two"]]);
});

test("scrubbing through chapters announces the one where it ends", () => {
  assert.deepEqual(told([[0, [], "One"], [5, [], "Two"], [5.5, [], "Three"], [6, [], "Four"]], 20), [
    [1.5, "Chapter: One"],
    [7.5, "Chapter: Four"],
  ]);
});
