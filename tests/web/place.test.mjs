import assert from "node:assert/strict";
import { test } from "node:test";

import { Place } from "../../origin/web/place.js";

const HOME = "https://radio.example";
const EDGE = "https://edge.example";
const NOTHING = { token: null, listen: null };
const BARE = `k1.99999999999.${"ab".repeat(32)}`;

/** A fetch that answers from a table of address → status or JSON, which a test may change; `seen` is what was asked. */
function network(table) {
  const seen = [];
  const get = async (url, options) => {
    seen.push(url);
    const answer = table[url] ?? 404;
    if (answer === "dead") throw new TypeError("failed to fetch");
    assert.equal(options.referrerPolicy, "no-referrer");
    return typeof answer === "number" ? new Response("{}", { status: answer }) : Response.json(answer);
  };
  return { seen, get, table };
}

const said = (tier, bases, more = {}) => ({ title: "Evening", tier, bases, ask_again: 10, private: false, ...more });

test("the first answer tells where to listen, and what the room is called", async () => {
  const { get } = network({
    "/listen/r.json": said("edge", [EDGE]), [`${EDGE}/listen/r.json`]: said("edge", [EDGE]),
  });
  const place = new Place("r", NOTHING, HOME, get);
  assert.equal(place.address("/live/r/index.m3u8"), "/live/r/index.m3u8");
  await place.tend(0);
  assert.equal(place.address("/live/r/index.m3u8"), `${EDGE}/live/r/index.m3u8`);
  assert.deepEqual([place.title, place.found, place.tier, place.moves], ["Evening", true, "edge", 1]);
});

test("it is asked from where one listens, and not before it is time", async () => {
  const { get, seen } = network({
    "/listen/r.json": said("edge", [EDGE]), [`${EDGE}/listen/r.json`]: said("edge", [EDGE]),
  });
  const place = new Place("r", NOTHING, HOME, get);
  await place.tend(0);
  seen.length = 0;
  await place.tend(7);
  assert.deepEqual(seen, []);
  await place.tend(13);
  assert.deepEqual(seen, [`${EDGE}/listen/r.json`]);
});

test("what the room is at is known as it was said last, and unknown when nobody says it", async () => {
  const { get, table } = network({ "/listen/r.json": said("origin", [""], { live: true, take: "t" }) });
  const place = new Place("r", NOTHING, HOME, get);
  assert.equal(place.news, null);
  await place.tend(0);
  assert.deepEqual(place.news, { live: true, take: "t" });
  table["/listen/r.json"] = said("origin", [""], { live: false, take: "t", ask_again: 4 });
  await place.tend(13);
  assert.deepEqual(place.news, { live: false, take: "t" });
  for (const [answer, news] of [[404, { live: false, take: null }], ["dead", null], [503, null]]) {
    table["/listen/r.json"] = answer;
    await place.tend(100);
    assert.deepEqual(place.news, news, `${answer}`);
    table["/listen/r.json"] = said("origin", [""], { ask_again: 1 });
    await place.tend(200);
    place.doubt(0);
  }
});

test("news that are in doubt are asked for soon", async () => {
  const { get, seen } = network({ "/listen/r.json": said("cdn", [""], { ask_again: 20 }) });
  const place = new Place("r", NOTHING, HOME, get);
  await place.tend(0);
  place.doubt(1);
  await place.tend(3);
  assert.equal(seen.length, 2);
});

test("a base that does not answer is not moved to", async () => {
  const { get } = network({ "/listen/r.json": said("cdn", [EDGE]), [`${EDGE}/listen/r.json`]: "dead" });
  const place = new Place("r", NOTHING, HOME, get);
  await place.tend(0);
  assert.deepEqual([place.base, place.moves], ["", 0]);
});

test("many who want to know at once make one request", async () => {
  const { get, seen } = network({ "/listen/r.json": said("origin", [""]) });
  const place = new Place("r", NOTHING, HOME, get);
  await Promise.all([place.tend(0), place.tend(0), place.tend(0.1)]);
  assert.equal(seen.length, 1);
});

async function atEdge(table) {
  const net = network({
    "/listen/r.json": said("edge", [EDGE]), [`${EDGE}/listen/r.json`]: said("edge", [EDGE]), ...table,
  });
  const place = new Place("r", NOTHING, HOME, net.get);
  await place.tend(0);
  assert.equal(place.base, EDGE);
  return { place, ...net };
}

test("media that get no answer lead home", async () => {
  const { place } = await atEdge({});
  for (const status of [0, 502, 0]) place.report(EDGE, status, 1);
  assert.deepEqual([place.base, place.moves], ["", 2]);
});

test("a room that stands still is no reason to go, an edge that knows nothing any more is", async () => {
  const { place, table } = await atEdge({});
  for (let i = 0; i < 9; i += 1) place.report(EDGE, 503, 1);
  assert.equal(place.base, EDGE);
  table[`${EDGE}/listen/r.json`] = 503;
  for (let now = 20; now < 23; now += 1) await place.tend(now);
  assert.equal(place.base, "");
});

test("an edge that denies a room which home knows is left, and the room stays known", async () => {
  const { place, table } = await atEdge({});
  table[`${EDGE}/listen/r.json`] = 404;
  await place.tend(20);
  assert.equal(place.base, "");
  await place.tend(30);
  assert.deepEqual([place.found, place.refusal], [true, null]);
});

test("a private room is asked for with what was brought along, once it is not there without", async () => {
  const { get, seen } = network({ [`/p/${BARE}/listen/r.json`]: said("origin", [""], { private: true }) });
  const place = new Place("r", { token: null, listen: BARE }, HOME, get);
  await place.tend(0);
  assert.deepEqual(seen, ["/listen/r.json", `/p/${BARE}/listen/r.json`]);
  assert.equal(place.address("/live/r/index.m3u8"), `/p/${BARE}/live/r/index.m3u8`);
  assert.deepEqual([place.private, place.found, place.title], [true, true, "Evening"]);
});

test("the token goes along to every base", async () => {
  const table = {};
  for (const base of ["", EDGE]) table[`${base}/p/${BARE}/listen/r.json`] = said("edge", [EDGE], { private: true });
  const place = new Place("r", { token: null, listen: BARE }, HOME, network(table).get);
  await place.tend(0);
  assert.equal(place.address("/live/r/index.m3u8"), `${EDGE}/p/${BARE}/live/r/index.m3u8`);
});

test("a token is not shown where it is not needed", async () => {
  const { get, seen } = network({ "/listen/r.json": said("origin", [""]) });
  const place = new Place("r", { token: "jwt", listen: BARE }, HOME, get);
  await place.tend(0);
  assert.deepEqual(seen, ["/listen/r.json"]);
  assert.equal(place.address("/live/r/index.m3u8"), "/live/r/index.m3u8");
});

test("a room that has become public is heard without the token", async () => {
  const net = network({ [`/p/${BARE}/listen/r.json`]: said("origin", [""], { private: true }) });
  const place = new Place("r", { token: null, listen: BARE }, HOME, net.get);
  await place.tend(0);
  net.table[`/p/${BARE}/listen/r.json`] = said("origin", [""]);
  await place.tend(20);
  assert.equal(place.private, false);
});

test("a token that is refused says why; without one nothing is claimed", async () => {
  const over = BARE.replace("99999999999", "1000");
  const { get } = network({ [`/p/${over}/listen/r.json`]: 403 });
  const expired = new Place("r", { token: null, listen: over }, HOME, get);
  await expired.tend(0);
  assert.equal(expired.refusal, "expired");
  const stranger = new Place("r", NOTHING, HOME, get);
  await stranger.tend(0);
  assert.deepEqual([stranger.refusal, stranger.found], [null, false]);
});

test("an invitation that got no answer leaves open whether the room is there", async () => {
  for (const [answer, unheard] of [["dead", true], [503, true], [404, false], [403, false]]) {
    const { get } = network({ "/rooms/r/listen-token": answer });
    const place = new Place("r", { token: "jwt", listen: null }, HOME, get);
    await place.tend(0);
    assert.equal(place.unheard, unheard, `${answer}`);
  }
});

test("an invitation that is answered at last lets in", async () => {
  const { get, table } = network({ "/rooms/r/listen-token": "dead" });
  const place = new Place("r", { token: "jwt", listen: null }, HOME, get);
  await place.tend(0);
  table["/rooms/r/listen-token"] = { path: `/p/${BARE}`, expires: 99999999999 };
  table[`/p/${BARE}/listen/r.json`] = said("origin", [""], { private: true });
  await place.tend(60);
  assert.deepEqual([place.unheard, place.found], [false, true]);
});

test("who is shut out while listening asks why at once", async () => {
  const { get, table, seen } = network({ [`/p/${BARE}/listen/r.json`]: said("origin", [""], { private: true }) });
  const place = new Place("r", { token: null, listen: BARE }, HOME, get);
  await place.tend(0);
  seen.length = 0;
  place.report("", 404, 1);
  await place.tend(1);
  assert.deepEqual(seen, []);
  table[`/p/${BARE}/listen/r.json`] = 403;
  place.report("", 403, 2);
  await place.tend(2);
  assert.equal(place.refusal, "expired");
  assert.equal(seen[0], `/p/${BARE}/listen/r.json`);
});

test("with a good token, what is not there is not there", async () => {
  const { get, table } = network({ [`/p/${BARE}/listen/r.json`]: said("origin", [""], { private: true }) });
  const place = new Place("r", { token: null, listen: BARE }, HOME, get);
  await place.tend(0);
  table[`/p/${BARE}/listen/r.json`] = 404;
  await place.tend(20);
  assert.deepEqual([place.refusal, place.found, place.private], [null, false, true]);
});
