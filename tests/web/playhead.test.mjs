import assert from "node:assert/strict";
import { test } from "node:test";

import { Playhead } from "../../origin/web/playhead.js";

/** A take whose live edge is at 100 s, of which the last 60 s can be heard. */
function played({ at = 50 } = {}) {
  const media = {
    currentTime: at, paused: false, seeking: false, ended: false, playbackRate: 1,
    buffered: { length: 1, start: () => 0, end: () => 60 },
  };
  const engine = {
    part: 0.4, oldest: 40, date: 1000, ranges: [], edgeAt: () => 100, behind: () => 100 - media.currentTime,
  };
  const playhead = new Playhead(media);
  playhead.begin(engine);
  return { media, engine, playhead };
}

test("nothing is behind live until sound has come, nor after the take", () => {
  const { playhead } = played();
  assert.deepEqual([playhead.behind, playhead.date, playhead.window], [null, null, 60]);
  playhead.started = true;
  assert.deepEqual([playhead.behind, playhead.date], [50, 1000]);
  playhead.end();
  assert.deepEqual([playhead.behind, playhead.date, playhead.window], [null, null, 0]);
});

test("who scrubs back stays there, and inside of what can be heard", () => {
  const { media, playhead } = played({ at: 98 });
  playhead.seekBehind(20);
  assert.equal(media.currentTime, 80);
  assert.equal(playhead.diagnostics.following, false);
  playhead.seekBehind(600);
  assert.equal(media.currentTime, 41);
});

test("going live leads near the edge, and follows it from there", () => {
  const { media, playhead } = played();
  playhead.seekBehind(20);
  playhead.goLive();
  assert.ok(media.currentTime > 95 && media.currentTime < 100, String(media.currentTime));
  assert.equal(playhead.diagnostics.following, true);
});

test("after a long pause one goes on where one was", () => {
  const { playhead } = played();
  playhead.started = true;
  playhead.goOn();
  assert.equal(playhead.diagnostics.following, false);
});

test("after a short pause live is followed as before", () => {
  const { playhead } = played({ at: 99 });
  playhead.started = true;
  playhead.goOn();
  assert.equal(playhead.diagnostics.following, true);
});
