// A seek into a gap never ends by itself.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Follower } from "../../origin/web/follower.js";

function media(ranges, currentTime) {
  return {
    paused: false, seeking: true, ended: false, playbackRate: 1, currentTime,
    buffered: { length: ranges.length, start: (i) => ranges[i][0], end: (i) => ranges[i][1] },
  };
}

const engine = { behind: () => 60, part: 0.4, edgeAt: () => null };

function watched(element, seconds, following = true) {
  const follower = new Follower(element);
  follower.following = following;
  for (let tick = 0; tick <= seconds * 10; tick += 1) follower.tick(engine, tick / 10);
  return follower;
}

test("a seek that ends in a gap goes on behind the gap", () => {
  const element = media([[0, 4], [6, 8]], 4.87);
  watched(element, 1.5);
  assert.ok(Math.abs(element.currentTime - 6) < 0.1, `${element.currentTime}`);
});

test("who has come as near as the parts allow follows", () => {
  for (const [part, behind, following] of [[0.4, 2.9, true], [0.4, 4.2, false], [2, 4.2, true], [2, 6, false]]) {
    const follower = new Follower({ ...media([[0, 9]], 4), seeking: false });
    follower.following = false;
    follower.tick({ ...engine, part, behind: () => behind }, 0);
    assert.equal(follower.following, following, `${behind} s behind, parts of ${part} s`);
  }
});

test("a seek that takes a moment is left alone", () => {
  const element = media([[0, 4], [6, 8]], 4.87);
  watched(element, 0.9);
  assert.equal(element.currentTime, 4.87);
});

test("who scrubbed back waits for what was asked for", () => {
  const element = media([[6, 8]], 2);
  watched(element, 5, false);
  assert.equal(element.currentTime, 2);
});

test("a seek with nothing behind it counts as standing still, so that the session looks for help", () => {
  assert.notEqual(watched(media([[0, 4]], 4.87), 2).stillSince, null);
});
