import assert from "node:assert/strict";
import { test } from "node:test";

import { iceServersOf } from "../../origin/web/link_header.js";

test("no header, no servers", () => {
  assert.deepEqual(iceServersOf(null), []);
  assert.deepEqual(iceServersOf(""), []);
});

test("the example of RFC 9725 section 4.6", () => {
  const header = '<stun:stun.example.net>; rel="ice-server", '
    + '<turn:turn.example.net?transport=udp>; rel="ice-server"; username="user"; credential="myPassword"; '
    + 'credential-type="password"';
  assert.deepEqual(iceServersOf(header), [
    { urls: "stun:stun.example.net" },
    { urls: "turn:turn.example.net?transport=udp", username: "user", credential: "myPassword" },
  ]);
});

test("passwords may hold what separates links", () => {
  const header = '<turn:t>; rel=ice-server; username="a,b;c"; credential="<q\\"\\\\>"';
  assert.deepEqual(iceServersOf(header), [{ urls: "turn:t", username: "a,b;c", credential: '<q"\\>' }]);
});

test("links to other things, and servers that are none, are left alone", () => {
  assert.deepEqual(iceServersOf('<https://example.net>; rel="ice-server", <stun:s>; rel="next", <stun:s>'), []);
});
