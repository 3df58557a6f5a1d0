import assert from "node:assert/strict";
import { test } from "node:test";

import { Admission } from "../../origin/web/admission.js";
import { ReplaySource, readReplay } from "../../origin/web/replay_source.js";

const RATE = 48_000;
const RECORD = {
  room: "evening",
  take: "20260703T170000Z-ab2cd3",
  room_title: "Evening talk",
  epoch_us: 1_783_098_000_000_000,
  samples: 60 * RATE,
  speakers: [{ name: "Ann", joined: [[0, 60 * RATE]], spoke: [[RATE, 2 * RATE], [4 * RATE, 5 * RATE]], muted: [] }],
  chapters: [{ sample: 24_000, title: "As it was" }],
  gaps: [{ from: 10 * RATE, to: 12 * RATE, why: "lost" }],
};
const CHAPTERS = {
  version: "1.2.0", title: "Tides", chapters: [{ startTime: 30, title: "Two" }, { startTime: 0.5, title: "One" }],
};
const PEAKS = { version: 2, bits: 8, samples_per_pixel: 4800, length: 2, data: [-3, 4, -128, 127] };

/** A server that answers by the end of the path, and keeps what it was asked. */
function server(answers) {
  const asked = [];
  const get = async (path, options) => {
    asked.push({ path, ...options });
    const [status, body, headers] = answers[path.split("/").at(-1)] ?? [404, {}];
    if (status === 0) throw new TypeError("no way");
    return new Response(JSON.stringify(body), { status, headers });
  };
  return { asked, get };
}

const all = { "take.json": [200, RECORD], "chapters.json": [200, CHAPTERS], "peaks.json": [200, PEAKS] };
const LISTEN = `k1.99999999999.${"ab".repeat(32)}`;

/** With a host's token, or what an invitation has brought. */
function source(get, token = null, listen = null) {
  const admission = new Admission("evening", { token: null, listen }, get);
  return new ReplaySource("evening", RECORD.take, token, admission, get);
}

test("while an invitation has got no answer, a replay that is not there may be", async () => {
  for (const [status, kind] of [[0, "trouble"], [503, "trouble"], [403, "gone"]]) {
    const { get } = server({ "listen-token": [status, {}] });
    const admission = new Admission("evening", { token: "jwt", listen: null }, get);
    const asking = new ReplaySource("evening", RECORD.take, null, admission, get);
    assert.equal((await asking.ask(0)).kind, kind, `${status}`);
  }
});

test("a replay is read: in seconds, as its host has edited it", () => {
  const { peaks, ...replay } = readReplay(RECORD, CHAPTERS, PEAKS);
  assert.deepEqual(replay, {
    title: "Tides",
    roomTitle: "Evening talk",
    private: false,
    start: 1_783_098_000_000,
    seconds: 60,
    chapters: [{ at: 0.5, title: "One" }, { at: 30, title: "Two" }],
    speakers: [{ name: "Ann", joined: [[0, 60]], spoke: [[1, 2], [4, 5]] }],
    gaps: [[10, 12]],
  });
  assert.deepEqual([...peaks.extremes], [-3, 4, -128, 127]);
  assert.equal(peaks.length, 600, "as long as the take, whatever was measured");
});

test("without what was made from it, a replay is what happened", () => {
  const replay = readReplay(RECORD, null, null);
  assert.deepEqual(replay.chapters, [{ at: 0.5, title: "As it was" }]);
  assert.equal(replay.title, "Evening talk");
  assert.equal(replay.peaks, null);
  assert.equal(readReplay(RECORD, null, { ...PEAKS, bits: 16 }).peaks, null, "another format is none");
});

test("chapters that a host has taken away stay away", () => {
  assert.deepEqual(readReplay(RECORD, { ...CHAPTERS, chapters: [] }, null).chapters, []);
});

test("it is asked for without a token, and with one where there is one", async () => {
  const open = server(all);
  assert.equal((await source(open.get).ask(0)).kind, "ready");
  assert.ok(open.asked.every(({ headers }) => headers.Authorization === undefined));
  const closed = server(all);
  await source(closed.get, "secret").ask(0);
  assert.deepEqual(new Set(closed.asked.map(({ headers }) => headers.Authorization)), new Set(["Bearer secret"]));
});

test("a replay without its waveform or chapters is a replay", async () => {
  const { get } = server({ ...all, "peaks.json": [502, {}], "chapters.json": [0] });
  const { kind, replay } = await source(get).ask(0);
  assert.equal(kind, "ready");
  assert.equal(replay.peaks, null);
});

const ANSWERS = [
  [[404, {}], { kind: "gone" }],
  [[400, {}], { kind: "gone" }],
  [[401, {}], { kind: "refused" }],
  [[403, {}], { kind: "refused" }],
  [[409, {}, { "Retry-After": "10" }], { kind: "unfinished", after: 10_000 }],
  [[409, {}, { "Retry-After": "3600" }], { kind: "unfinished", after: 15_000 }],
  [[409, {}], { kind: "unfinished", after: 2000 }],
  [[503, {}, { "Retry-After": "4" }], { kind: "trouble", after: 4000 }],
  [[502, {}], { kind: "trouble", after: 1000 }],
  [[0], { kind: "trouble", after: 1000 }],
];
for (const [answer, expected] of ANSWERS) {
  test(`${answer[0]} ${answer[2]?.["Retry-After"] ?? ""} is ${JSON.stringify(expected)}`, async () => {
    assert.deepEqual(await source(server({ "take.json": answer }).get).ask(0), expected);
  });
}

test("trouble is looked at less and less often, until it is over", async () => {
  const answers = { "take.json": [503, {}] };
  const asking = source(server(answers).get);
  const pauses = [];
  for (let i = 0; i < 6; i += 1) pauses.push((await asking.ask(0)).after);
  assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 15_000, 15_000]);
  Object.assign(answers, all);
  assert.equal((await asking.ask(0)).kind, "ready");
  answers["take.json"] = [503, {}];
  assert.equal((await asking.ask(0)).after, 1000);
});

test("a private replay, and its sound, lie under what an invitation has brought", async () => {
  const { asked, get } = server({});
  const locked = async (path, options) => {
    asked.push({ path });
    if (!path.startsWith(`/p/${LISTEN}/`)) return new Response("{}", { status: 404 });
    return server({ ...all, "take.json": [200, { ...RECORD, private: true }] }).get(path, options);
  };
  const kept = source(locked, null, LISTEN);
  const answer = await kept.ask(0);
  assert.deepEqual([answer.kind, answer.replay.private], ["ready", true]);
  assert.equal(kept.m4a, `/p/${LISTEN}/replay/evening/${RECORD.take}.m4a`);
  assert.equal((await source(locked).ask(0)).kind, "gone");
  assert.equal((await source(get).ask(0)).kind, "gone");
});

test("a host who saw a private replay by their own token goes on under one that its sound can be asked for with", async () => {
  const kept = source(server(all).get, "host", LISTEN);
  await kept.ask(0);
  assert.equal(kept.m4a, `/replay/evening/${RECORD.take}.m4a`);
  assert.equal(await kept.sign(0), true);
  assert.equal(kept.m4a, `/p/${LISTEN}/replay/evening/${RECORD.take}.m4a`);
  assert.equal(await source(server(all).get, "host").sign(0), false);
});
