import assert from "node:assert/strict";
import { test } from "node:test";

import { Speaking } from "../../origin/web/speaking.js";

const WISH = { url: "/whip/r?speaker=Ann", name: "Ann", track: "microphone", maxBitrate: 64_000 };

class Session extends EventTarget {
  closed = false;
  track = null;

  async replaceTrack(track) {
    this.track = track;
  }

  async limit() {}

  close() {
    this.closed = true;
  }

  lose(closed) {
    this.dispatchEvent(new CustomEvent("lost", { detail: { closed } }));
  }
}

/** A server, and a clock that stands still until it is told to go. */
class World {
  clock = 0;
  refusals = [];
  sessions = [];
  room = { take: null, speakers: [] };
  answer = null;
  asked = 0;

  constructor(mock) {
    this.mock = mock;
    mock.timers.enable({ apis: ["setTimeout"] });
    this.speaking = new Speaking({
      open: async () => {
        const refusal = this.refusals.shift();
        if (refusal !== undefined) throw Object.assign(new Error(refusal.message ?? ""), refusal);
        this.sessions.push(new Session());
        return this.sessions.at(-1);
      },
      ask: async () => {
        this.asked += 1;
        return this.answer ?? { kind: "known", room: this.room };
      },
      now: () => this.clock,
      random: () => 0.5,
    });
  }

  get facts() {
    return this.speaking.facts;
  }

  async pass(ms) {
    this.clock += ms;
    this.mock.timers.tick(ms);
    for (let i = 0; i < 20; i += 1) await Promise.resolve();
  }

  /** On air and listed in a take. */
  async onAir() {
    this.speaking.start(WISH);
    await this.pass(0);
    this.room = { take: "T1", speakers: [{ name: "Ann", muted: false }] };
    this.speaking.look(this.room);
    return this.sessions.at(-1);
  }
}

test("a wish is met", async (t) => {
  const world = new World(t.mock);
  await world.onAir();
  assert.equal(world.facts.connected, true);
  assert.equal(world.facts.take, "T1");
  assert.equal(world.asked, 0, "the first time nothing is asked before");
});

test("a server that is not there is called again, with growing pauses", async (t) => {
  const world = new World(t.mock);
  world.refusals = [{ status: 0 }, { status: 0 }];
  world.speaking.start(WISH);
  await world.pass(0);
  await world.pass(399);
  assert.equal(world.sessions.length, 0);
  assert.equal(world.refusals.length, 1);
  await world.pass(1);
  await world.pass(800);
  assert.equal(world.facts.connected, true);
});

test("what goes wrong again and again is told, what goes wrong once is not, and nothing once it goes well", async (t) => {
  const world = new World(t.mock);
  world.refusals = [{ status: 500, message: "logged as 1" }, { status: 500, message: "logged as 2" }];
  world.speaking.start(WISH);
  await world.pass(0);
  assert.equal(world.facts.message, "");
  await world.pass(400);
  assert.equal(world.facts.message, "logged as 2");
  await world.pass(800);
  assert.deepEqual([world.facts.connected, world.facts.message], [true, ""]);
});

test("a full room is waited for, and said to be full", async (t) => {
  const world = new World(t.mock);
  world.refusals = [{ status: 503, message: "16 speakers", retryAfter: 2000 }];
  world.speaking.start(WISH);
  await world.pass(0);
  assert.deepEqual([world.facts.full, world.facts.message], [true, "16 speakers"]);
  await world.pass(2000);
  assert.deepEqual([world.facts.full, world.facts.message, world.facts.connected], [false, "", true]);
});

test("a wrong token is not tried twice", async (t) => {
  const world = new World(t.mock);
  world.refusals = [{ status: 401, message: "no token" }];
  world.speaking.start(WISH);
  await world.pass(0);
  await world.pass(60_000);
  assert.deepEqual([world.facts.stopped, world.facts.message, world.facts.wanted], ["unauthorized", "no token", false]);
  assert.equal(world.sessions.length, 0);
});

test("a broken way is mended: a new session, the old one ended", async (t) => {
  const world = new World(t.mock);
  const first = await world.onAir();
  first.lose(false);
  assert.equal(world.facts.connected, false);
  assert.equal(first.closed, true);
  await world.pass(200);
  assert.equal(world.sessions.length, 2);
  assert.deepEqual([world.facts.connected, world.facts.reconnects], [true, 1]);
});

test("a server that restarts is waited for", async (t) => {
  const world = new World(t.mock);
  (await world.onAir()).lose(false);
  world.answer = { kind: "unreachable" };
  await world.pass(100);
  for (let i = 0; i < 5; i += 1) await world.pass(3000);
  assert.equal(world.sessions.length, 1, "nobody calls a server that is not there");
  world.answer = null;
  await world.pass(10_000);
  assert.equal(world.facts.connected, true);
  assert.equal(world.facts.stopped, null);
});

test("a network that is back is used at once", async (t) => {
  const world = new World(t.mock);
  (await world.onAir()).lose(false);
  world.answer = { kind: "unreachable" };
  await world.pass(100);
  for (let i = 0; i < 5; i += 1) await world.pass(8000);
  world.answer = null;
  world.speaking.hurry();
  await world.pass(100);
  assert.equal(world.facts.connected, true);
});

test("a take that the host has ended is not begun anew", async (t) => {
  const world = new World(t.mock);
  (await world.onAir()).lose(true);
  world.room = { take: null, speakers: [] };
  await world.pass(200);
  await world.pass(60_000);
  assert.deepEqual([world.facts.stopped, world.facts.wanted, world.sessions.length], ["ended", false, 1]);
});

test("the end of a take is seen even where the connection has not noticed", async (t) => {
  const world = new World(t.mock);
  const session = await world.onAir();
  world.speaking.look({ take: null, speakers: [] });
  assert.deepEqual([world.facts.stopped, session.closed], ["ended", true]);
});

test("who was removed by the host is told, and stays away", async (t) => {
  const world = new World(t.mock);
  (await world.onAir()).lose(true);
  world.room = { take: "T1", speakers: [] };
  world.refusals = [{ status: 403, message: "removed by the host" }];
  await world.pass(200);
  await world.pass(60_000);
  assert.deepEqual([world.facts.stopped, world.facts.message], ["removed", "removed by the host"]);
  assert.equal(world.sessions.length, 1);
});

test("two windows of one person do not throw each other out for ever", async (t) => {
  const world = new World(t.mock);
  (await world.onAir()).lose(true);
  await world.pass(200);
  assert.equal(world.facts.stopped, null, "it may be the last of our own sound");
  await world.pass(1500);
  assert.deepEqual([world.facts.stopped, world.sessions.length], ["replaced", 1]);
});

test("our own last sound, still listed, does not keep us away", async (t) => {
  const world = new World(t.mock);
  (await world.onAir()).lose(true);
  await world.pass(200);
  world.room = { take: "T1", speakers: [] };
  await world.pass(1500);
  assert.deepEqual([world.facts.connected, world.sessions.length], [true, 2]);
});

test("a session that the server does not know any more is made again", async (t) => {
  const world = new World(t.mock);
  const first = await world.onAir();
  world.room = { take: "T1", speakers: [] };
  for (let i = 0; i < 3; i += 1) world.speaking.look(world.room);
  assert.equal(first.closed, true);
  await world.pass(200);
  assert.equal(world.facts.connected, true);
});

test("a server that was away and is back without us was started again: we call at once", async (t) => {
  const world = new World(t.mock);
  const first = await world.onAir();
  world.speaking.doubt();
  world.speaking.look(world.room);
  world.speaking.look({ take: "T1", speakers: [] });
  assert.equal(first.closed, false, "it knew us still: only the way was shut for a moment");
  world.speaking.doubt();
  world.speaking.look({ take: "T1", speakers: [] });
  assert.equal(first.closed, true);
});

test("the host's mute is seen", async (t) => {
  const world = new World(t.mock);
  await world.onAir();
  world.speaking.look({ take: "T1", speakers: [{ name: "Ann", muted: true }] });
  assert.equal(world.facts.silenced, true);
});

test("leaving is leaving, also in the middle of a call", async (t) => {
  const world = new World(t.mock);
  world.speaking.start(WISH);
  world.speaking.stop();
  await world.pass(60_000);
  assert.deepEqual([world.sessions.length, world.facts.wanted, world.facts.stopped], [0, false, null]);
  const session = await world.onAir();
  world.speaking.stop();
  await world.pass(60_000);
  assert.deepEqual([session.closed, world.sessions.length], [true, 1]);
});

test("a microphone that was changed while the way was broken is the one that speaks", async (t) => {
  const world = new World(t.mock);
  (await world.onAir()).lose(false);
  await world.speaking.change({ track: "another", maxBitrate: 1 });
  await world.pass(200);
  assert.equal(world.sessions.at(-1).track, "another");
});

test("a take that ended of itself during a long absence does not keep us away", async (t) => {
  const world = new World(t.mock);
  (await world.onAir()).lose(false);
  world.answer = { kind: "unreachable" };
  await world.pass(100);
  for (let i = 0; i < 10; i += 1) await world.pass(8000);
  world.answer = null;
  world.room = { take: null, speakers: [] };
  await world.pass(10_000);
  assert.deepEqual([world.facts.connected, world.facts.stopped], [true, null]);
});
