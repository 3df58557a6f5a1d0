import assert from "node:assert/strict";
import { test } from "node:test";

import { answerOf, pause, probe } from "../../origin/web/probe.js";

const TAKE = "20260102T030405Z-ab2cd3";
const MULTIVARIANT = `#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=90000,CODECS="mp4a.40.2"\n${TAKE}/64k/index.m3u8\n`;

/** A server that answers from a table of path → [status, text]. */
function server(table) {
  return async (path) => {
    const [status, text] = table[path] ?? [404, ""];
    return new Response(text, { status });
  };
}

const media = `/live/r/${TAKE}/64k/index.m3u8`;

test("playlists are for those who want to hear a room that is live, and for all when nobody says what it is at", () => {
  const url = "/live/r/index.m3u8";
  const [on, over, never] = [{ live: true, take: TAKE }, { live: false, take: TAKE }, { live: false, take: null }];
  assert.deepEqual([answerOf("r", on, true), answerOf("r", null, true), answerOf("r", null, false)], [null, null, null]);
  assert.deepEqual(answerOf("r", on, false), { kind: "live", take: TAKE, url });
  for (const wanted of [true, false]) {
    assert.deepEqual(answerOf("r", over, wanted), { kind: "ended", take: TAKE, url });
    assert.deepEqual(answerOf("r", never, wanted), { kind: "absent" });
  }
});

test("a running take is live, and its id is known", async () => {
  const answer = await probe("r", server({ "/live/r/index.m3u8": [200, MULTIVARIANT], [media]: [200, "#EXTM3U\n"] }));
  assert.deepEqual(answer, { kind: "live", take: TAKE, url: "/live/r/index.m3u8" });
});

test("an end list means that the take has ended", async () => {
  const ended = "#EXTM3U\n#EXT-X-ENDLIST\n";
  const answer = await probe("r", server({ "/live/r/index.m3u8": [200, MULTIVARIANT], [media]: [200, ended] }));
  assert.equal(answer.kind, "ended");
});

test("a room that is not there is absent, and so is a take that has left the window", async () => {
  assert.equal((await probe("r", server({}))).kind, "absent");
  assert.equal((await probe("r", server({ "/live/r/index.m3u8": [200, MULTIVARIANT] }))).kind, "absent");
});

test("a take that has nothing to play yet is starting", async () => {
  const filling = server({ "/live/r/index.m3u8": [200, MULTIVARIANT], [media]: [503, ""] });
  assert.equal((await probe("r", filling)).kind, "starting");
  assert.equal((await probe("r", server({ "/live/r/index.m3u8": [503, ""] }))).kind, "starting");
});

test("an answer that makes no sense is as good as none", async () => {
  assert.equal((await probe("r", server({ "/live/r/index.m3u8": [500, ""] }))).kind, "unreachable");
  assert.equal((await probe("r", server({ "/live/r/index.m3u8": [200, "#EXTM3U\n"] }))).kind, "unreachable");
});

test("a refused connection is not an exception", async () => {
  const refused = () => Promise.reject(new TypeError("Failed to fetch"));
  assert.deepEqual(await probe("r", refused), { kind: "unreachable" });
});

test("an unreachable server is asked sooner at first and every three seconds later, with jitter", () => {
  assert.deepEqual([1, 2, 3, 4, 50].map((failures) => pause("unreachable", failures, 0.5)), [500, 1000, 2000, 3000, 3000]);
  assert.ok(pause("absent", 0, 0) >= 1000 && pause("absent", 0, 0.999) <= 3000);
});
