import assert from "node:assert/strict";
import { test } from "node:test";

import { LiveEdge } from "../../origin/web/edge.js";

test("before the first playlist there is no edge", () => {
  assert.equal(new LiveEdge().at(5), null);
});

test("between playlists the edge moves on with the clock", () => {
  const edge = new LiveEdge();
  edge.observe(100, 1);
  assert.equal(edge.at(1.5), 100.5);
});

test("the earliest arrival counts: a late playlist says nothing about the edge", () => {
  const edge = new LiveEdge();
  edge.observe(100.0, 1.05);
  edge.observe(100.2, 1.9);
  edge.observe(100.4, 1.45);
  assert.ok(Math.abs(edge.at(2) - 100.95) < 1e-9);
});

test("what was seen minutes ago is forgotten, so that two clocks may drift", () => {
  const edge = new LiveEdge();
  edge.observe(0, 0);
  // The room's clock loses 1 ms a second against ours.
  for (let now = 1; now <= 600; now += 1) edge.observe(now * 0.999, now);
  assert.ok(600 - edge.at(600) - 0.6 < 0.0001 && 600 - edge.at(600) > 0.35);
});
