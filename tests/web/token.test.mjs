import assert from "node:assert/strict";
import { test } from "node:test";

import { authorization, claims, expired, takeToken } from "../../origin/web/token.js";

/** A tab on `href` with what its storage holds. */
function tab(href, stored = {}) {
  const url = new URL(href, "http://x");
  const place = {
    location: { hash: url.hash, pathname: url.pathname, search: url.search },
    shown: null,
    history: { replaceState: (_state, _title, shown) => { place.shown = shown; } },
    sessionStorage: {
      getItem: (key) => stored[key] ?? null,
      setItem: (key, value) => { stored[key] = value; },
    },
    stored,
  };
  return place;
}

function jwt(payload) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "HS256" })}.${part(payload)}.c2ln`;
}

test("a token leaves the address bar at once, and lives as long as the tab", () => {
  const first = tab("/speak/r?debug#token=secret");
  assert.equal(takeToken("r", first), "secret");
  assert.equal(first.shown, "/speak/r?debug");
  const again = tab("/speak/r", first.stored);
  assert.equal(takeToken("r", again), "secret");
  assert.equal(again.shown, null, "nothing to take out");
});

test("what else stands in the fragment stays", () => {
  const place = tab("/speak/r#token=secret&tab=2");
  takeToken("r", place);
  assert.equal(place.shown, "/speak/r#tab=2");
});

test("a room's token is not sent for another room", () => {
  const first = tab("/speak/one#token=secret");
  takeToken("one", first);
  assert.equal(takeToken("two", tab("/speak/two", first.stored)), null);
});

test("a new invitation replaces the old one", () => {
  const stored = {};
  takeToken("r", tab("/speak/r#token=old", stored));
  takeToken("r", tab("/speak/r#token=new", stored));
  assert.equal(takeToken("r", tab("/speak/r", stored)), "new");
});

test("an invitation and a bare listen token do not stand in each other's way", () => {
  const stored = {};
  const place = tab("/listen/r#token=jwt&listen=k.1.ab", stored);
  assert.equal(takeToken("r", place), "jwt");
  assert.equal(place.shown, "/listen/r#listen=k.1.ab");
  place.location.hash = "#listen=k.1.ab";
  assert.equal(takeToken("r", place, "listen"), "k.1.ab");
  assert.equal(place.shown, "/listen/r");
  const again = tab("/listen/r", stored);
  assert.deepEqual([takeToken("r", again), takeToken("r", again, "listen")], ["jwt", "k.1.ab"]);
});

test("where storage is forbidden the token is still good for this page", () => {
  const place = tab("/speak/r#token=secret");
  Object.defineProperty(place, "sessionStorage", { get: () => { throw new Error("forbidden"); } });
  assert.equal(takeToken("r", place), "secret");
  place.location.hash = "";
  assert.equal(takeToken("r", place), null);
});

test("what a token says of itself can be shown, whatever alphabet the name is in", () => {
  assert.deepEqual(claims(jwt({ role: "speaker", name: "Zoë 🎙" })), { role: "speaker", name: "Zoë 🎙" });
});

test("a plain secret, garbage and no token say nothing", () => {
  for (const token of [null, "", "secret", "a.b.c", `x.${Buffer.from("7").toString("base64")}.y`, "x.!!.y"]) {
    assert.deepEqual(claims(token), {}, String(token));
  }
});

test("a token knows when its time is over", () => {
  assert.equal(expired(jwt({ exp: 100 }), 99_999), false);
  assert.equal(expired(jwt({ exp: 100 }), 100_000), true);
  assert.equal(expired("secret", 1e15), false);
});

test("without a token there is no header", () => {
  assert.deepEqual(authorization(null), {});
  assert.deepEqual(authorization("secret"), { Authorization: "Bearer secret" });
});
