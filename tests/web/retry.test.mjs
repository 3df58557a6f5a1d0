import assert from "node:assert/strict";
import { test } from "node:test";

import { afterLoss, afterRefusal } from "../../origin/web/retry.js";

test("calls again after what passes, and not after what does not", () => {
  for (const status of [0, 408, 425, 429, 500, 502, 503, 504]) {
    assert.ok(afterRefusal({ status }, 1, 0.5).again > 0, status);
  }
  assert.deepEqual(afterRefusal({ status: 401 }, 1, 0.5), { stop: "unauthorized" });
  assert.deepEqual(afterRefusal({ status: 403 }, 1, 0.5), { stop: "forbidden" });
  for (const status of [400, 404, 413, 415, 422]) {
    assert.deepEqual(afterRefusal({ status }, 1, 0.5), { stop: "rejected" }, status);
  }
});

test("pauses grow up to eight seconds, and never all at the same instant", () => {
  assert.deepEqual([1, 2, 3, 4, 5, 6, 99].map((n) => afterRefusal({ status: 0 }, n, 0.5).again),
    [400, 800, 1600, 3200, 6400, 8000, 8000]);
  assert.deepEqual([0, 0.999].map((random) => Math.round(afterRefusal({ status: 0 }, 1, random).again)), [300, 500]);
});

test("a server that names a pause gets it", () => {
  assert.equal(afterRefusal({ status: 503, retryAfter: 5000 }, 1, 0.5).again, 5000);
});

const lost = { closed: false, away: 3000, take: "T1", name: "Ann" };
const room = { take: "T1", speakers: [] };

test("a connection that broke is made again in the same take", () => {
  assert.equal(afterLoss(lost, room), "again");
});

test("one's own old connection, not yet missed, is no reason to stay away", () => {
  assert.equal(afterLoss(lost, { ...room, speakers: [{ name: "Ann" }] }), "again");
});

test("a take that somebody has ended is not begun anew", () => {
  assert.equal(afterLoss(lost, { ...room, take: null }), "ended");
  assert.equal(afterLoss(lost, { ...room, take: "T2" }), "ended");
});

test("a take that may have ended of itself, while the network was away, is", () => {
  assert.equal(afterLoss({ ...lost, away: 60_000 }, { ...room, take: null }), "again");
});

test("who never was in a take cannot have missed its end", () => {
  assert.equal(afterLoss({ ...lost, take: null }, { ...room, take: null }), "again");
});

test("who was thrown out by a connection under the same name lets that one speak", () => {
  const elsewhere = { ...room, speakers: [{ name: "Ben" }, { name: "Ann" }] };
  assert.equal(afterLoss({ ...lost, closed: true }, elsewhere), "replaced");
  assert.equal(afterLoss({ ...lost, closed: true }, { ...room, speakers: [{ name: "Ben" }] }), "again");
});
