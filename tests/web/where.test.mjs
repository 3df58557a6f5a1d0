import assert from "node:assert/strict";
import { test } from "node:test";

import { HOME, Where, readWhere } from "../../origin/web/where.js";

const EDGE = "https://edge.example";
const OTHER = "https://other.example";
const CDN = "https://cdn.example";
const origin = { tier: "origin", bases: [HOME] };
const edge = { tier: "edge", bases: [EDGE, OTHER] };
const cdn = { tier: "cdn", bases: [CDN] };

/** A listener who went where the server said. */
function at(told, random = 0) {
  const where = new Where();
  where.settle(where.told(told, 0, random));
  return where;
}

test("a page begins at home, and stays there while the server says so", () => {
  const where = new Where();
  assert.equal(where.told(origin, 0, 0), null);
  assert.deepEqual([where.base, where.tier], [HOME, "origin"]);
});

test("of several bases each listener takes one by chance, and keeps it", () => {
  assert.equal(at(edge, 0).base, EDGE);
  assert.equal(at(edge, 0.99).base, OTHER);
  assert.equal(at(edge, 0).told({ tier: "edge", bases: [OTHER, EDGE] }, 10, 0), null);
});

test("a base that is not offered any more is left for one that is", () => {
  assert.deepEqual(at(edge).told({ tier: "edge", bases: [OTHER] }, 10, 0), { base: OTHER, tier: "edge" });
});

test("up goes at once", () => {
  assert.deepEqual(at(edge).told(cdn, 10, 0), { base: CDN, tier: "cdn" });
});

test("down goes when it has been said twice in a row", () => {
  const where = at(cdn);
  assert.equal(where.told(edge, 10, 0), null);
  assert.deepEqual(where.told(edge, 20, 0), { base: EDGE, tier: "edge" });
});

test("one contrary answer begins the count again", () => {
  const where = at(cdn);
  for (const told of [edge, cdn, edge, origin]) assert.equal(where.told(told, 10, 0), null, told.tier);
  assert.deepEqual(where.told(origin, 20, 0), { base: HOME, tier: "origin" });
});

test("a base that serves two tiers is not left when the tier changes", () => {
  const where = at({ tier: "edge", bases: [CDN] });
  assert.equal(where.told(cdn, 10, 0), null);
  assert.equal(where.tier, "cdn");
});

test("three failures in a row lead home, fewer do not", () => {
  const where = at(cdn);
  assert.equal(where.failed(CDN, 10), false);
  assert.equal(where.failed(CDN, 10), false);
  where.answered(CDN);
  assert.equal(where.failed(CDN, 11), false);
  assert.equal(where.failed(CDN, 11), false);
  assert.equal(where.base, CDN);
  assert.equal(where.failed(CDN, 11), true);
  assert.deepEqual([where.base, where.tier], [HOME, null]);
});

test("what is answered elsewhere says nothing of the base in use", () => {
  const where = at(cdn);
  for (const base of [CDN, CDN]) where.failed(base, 10);
  where.answered(HOME);
  assert.equal(where.failed(EDGE, 10), false);
  assert.equal(where.failed(CDN, 10), true);
});

test("home is never left for its failures", () => {
  const where = new Where();
  for (let i = 0; i < 9; i += 1) assert.equal(where.failed(HOME, i), false);
});

test("a base that failed is left alone for a minute, and its sister is not", () => {
  const where = at(edge);
  for (let i = 0; i < 3; i += 1) where.failed(EDGE, 10);
  assert.deepEqual(where.told(edge, 11, 0), { base: OTHER, tier: "edge" });
  assert.equal(where.told({ tier: "edge", bases: [EDGE] }, 69, 0), null);
  assert.deepEqual(where.told({ tier: "edge", bases: [EDGE] }, 71, 0), { base: EDGE, tier: "edge" });
});

test("a base that turned out not to be fit is not tried again at once", () => {
  const where = new Where();
  const next = where.told(cdn, 0, 0);
  where.shun(next.base, 0);
  assert.equal(where.base, HOME);
  assert.equal(where.told(cdn, 10, 0), null);
  assert.notEqual(where.told(cdn, 61, 0), null);
});

test("what the server says is made safe", () => {
  const said = {
    title: "Evening", private: true, tier: "cdn", ask_again: 12, renew: "https://radio.example/rooms/r/listen-token",
    bases: ["https://cdn.example/", "https://radio.example", "https://cdn.example/a/b/", "javascript:alert(1)", "no", 7],
  };
  assert.deepEqual(readWhere(said, "https://radio.example"), {
    title: "Evening", live: false, take: null, private: true, tier: "cdn", askAgain: 12, renew: said.renew,
    bases: ["https://cdn.example", HOME, "https://cdn.example/a/b"],
  });
});

test("an answer that says nothing means home", () => {
  const told = readWhere({ ask_again: 0, tier: "moon", bases: [] }, "https://radio.example");
  assert.deepEqual([told.tier, told.bases, told.askAgain, told.renew], ["origin", [HOME], 10, null]);
  assert.equal(readWhere({ ask_again: 0.01 }, "http://a.example").askAgain, 1);
  assert.equal(readWhere({ ask_again: 9999 }, "http://a.example").askAgain, 60);
});
