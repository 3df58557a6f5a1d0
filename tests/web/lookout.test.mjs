import assert from "node:assert/strict";
import { test } from "node:test";

import { Lookout } from "../../origin/web/lookout.js";

/** A server whose answers are given by hand; `asked` counts questions, `told` is what came of them. */
function watched(context) {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  context.mock.method(Math, "random", () => 0.5);
  const world = { asked: 0, told: [], answer: null };
  const ask = () => {
    world.asked += 1;
    return new Promise((resolve) => {
      world.answer = async (kind) => {
        resolve({ kind });
        await new Promise(setImmediate);
      };
    });
  };
  world.lookout = new Lookout(ask, ({ kind }) => world.told.push(kind));
  world.pass = (ms) => context.mock.timers.tick(ms);
  return world;
}

test("who is in a hurry does not wait for a question that is to come later; nobody else asks twice", (context) => {
  const world = watched(context);
  world.lookout.soon(1000);
  world.lookout.soon(500);
  world.pass(999);
  assert.equal(world.asked, 0);
  world.lookout.soon(0);
  world.pass(0);
  assert.equal(world.asked, 1);
  world.pass(5000);
  assert.equal(world.asked, 1);
});

test("while a question is open no other one is asked, not even at once", async (context) => {
  const world = watched(context);
  world.lookout.soon(0);
  world.pass(0);
  world.lookout.soon(0);
  world.pass(5000);
  assert.equal(world.asked, 1);
  await world.answer("live");
  assert.deepEqual(world.told, ["live"]);
  world.lookout.soon(0);
  world.pass(0);
  assert.equal(world.asked, 2);
});

test("a server out of reach is asked ever more rarely, until it answers", async (context) => {
  const world = watched(context);
  const answered = async (kind, delay) => {
    world.lookout.again(kind);
    const before = world.asked;
    world.pass(delay - 1);
    assert.equal(world.asked, before);
    world.pass(1);
    assert.equal(world.asked, before + 1);
    await world.answer("unreachable");
  };
  world.lookout.soon(0);
  world.pass(0);
  await world.answer("unreachable");
  await answered("unreachable", 500);
  await answered("unreachable", 1000);
  world.lookout.lost();
  world.pass(3000);
  await world.answer("absent");
  await answered("absent", 1500);
  await answered("unreachable", 500);
});

test("a loss that was seen elsewhere counts as a question without an answer", async (context) => {
  const world = watched(context);
  world.lookout.lost();
  world.pass(500);
  assert.equal(world.asked, 1);
  await world.answer("unreachable");
  world.lookout.again("unreachable");
  world.pass(999);
  assert.equal(world.asked, 1);
  world.pass(1);
  assert.equal(world.asked, 2);
});
