import assert from "node:assert/strict";
import { test } from "node:test";

import { maySpeak } from "../../origin/web/may_speak.js";

test("listeners are not led to a page that is not for them", () => {
  for (const hostname of ["radio.example", "192.168.1.7", "localhost.example", "127.example", "[fd00::1]"]) {
    assert.equal(maySpeak({ hostname, token: null }), false, hostname);
  }
});

test("who has an invitation, or tries it on their own machine, is", () => {
  assert.equal(maySpeak({ hostname: "radio.example", token: "secret" }), true);
  for (const hostname of ["localhost", "127.0.0.1", "[::1]"]) assert.equal(maySpeak({ hostname, token: null }), true);
});

test("an invitation to listen is none to speak", () => {
  const token = `x.${Buffer.from(JSON.stringify({ role: "listener", room: "r" })).toString("base64url")}.y`;
  for (const hostname of ["radio.example", "localhost"]) assert.equal(maySpeak({ hostname, token }), false, hostname);
});
