import assert from "node:assert/strict";
import { test } from "node:test";

import { Admission } from "../../origin/web/admission.js";

const NOON = Date.UTC(2026, 0, 2, 12) / 1000;
const BARE = `k1.1700000000.${"ab".repeat(32)}`;

/** A server that exchanges invitations; each answer is [status, seconds that the token lives]. */
function server(...answers) {
  const asked = [];
  const get = async (url, { method, headers }) => {
    asked.push([method, url, headers.Authorization]);
    const [status, life = 0] = answers.shift() ?? [500];
    const body = status === 201 ? { path: `/p/token-${asked.length}`, expires: NOON + life } : { error: "no" };
    return new Response(JSON.stringify(body), { status, headers: { Date: new Date(NOON * 1000).toUTCString() } });
  };
  return { asked, get };
}

function invited(get, token = "jwt") {
  return new Admission("room", { token, listen: null }, get);
}

function jwt(payload) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "HS256" })}.${part(payload)}.c2ln`;
}

test("an invitation is exchanged for a path when the door is shut, and shown as a bearer token", async () => {
  const { asked, get } = server([201, 600]);
  const admission = invited(get);
  assert.equal(admission.path, "");
  assert.equal(await admission.enter("", 0), true);
  assert.equal(admission.path, "/p/token-1");
  assert.deepEqual(asked, [["POST", "/rooms/room/listen-token", "Bearer jwt"]]);
});

test("a page that came from an edge exchanges its invitation where that is known", async () => {
  const { asked, get } = server([201, 600]);
  const admission = new Admission("a b", { token: "jwt", listen: null }, get, "https://radio.example");
  assert.equal(await admission.enter("", 0), true);
  assert.deepEqual(asked, [["POST", "https://radio.example/rooms/a%20b/listen-token", "Bearer jwt"]]);
});

test("who has brought nothing asks for nothing", async () => {
  const { asked, get } = server();
  const admission = new Admission("room", { token: null, listen: null }, get);
  assert.equal(await admission.enter("", 0), false);
  assert.deepEqual([admission.refusal, asked], [null, []]);
});

test("a token is renewed after two thirds of its life, counted by the server's clock", async () => {
  const { asked, get } = server([201, 600], [201, 600], [201, 600]);
  const admission = invited(get);
  await admission.enter("", 100);
  await admission.tend(499);
  assert.equal(asked.length, 1);
  await admission.tend(501);
  assert.equal(admission.path, "/p/token-2");
  await admission.tend(890);
  assert.equal(asked.length, 2);
  await admission.tend(902);
  assert.equal(admission.path, "/p/token-3");
});

test("a renewal that fails is tried again, and the old token stays meanwhile", async () => {
  const { asked, get } = server([201, 600], [503], [201, 600]);
  const admission = invited(get);
  await admission.enter("", 0);
  await admission.tend(400);
  assert.equal(admission.path, "/p/token-1");
  await admission.tend(404);
  assert.equal(asked.length, 2, "not at once");
  await admission.tend(405);
  assert.equal(admission.path, "/p/token-3");
});

test("a nonsensical life neither hammers the server nor is believed for ever", async () => {
  const { asked, get } = server([201, -5000], [201, 1e9], [201, 600]);
  const admission = invited(get);
  await admission.enter("", 0);
  await admission.tend(3.9);
  assert.equal(asked.length, 1);
  await admission.tend(4);
  assert.equal(asked.length, 2);
  await admission.tend(4 + 86_400);
  assert.equal(asked.length, 3);
});

test("an invitation that is refused has expired, or was never good", async () => {
  for (const [exp, refusal] of [[NOON - 1, "expired"], [NOON + 1, "private"]]) {
    const admission = invited(server([401]).get, jwt({ role: "listener", exp }));
    assert.equal(await admission.enter("", 0), false);
    assert.equal(admission.refusal, refusal);
  }
});

test("a refused invitation is not asked about again and again, and may become good", async () => {
  const { asked, get } = server([403], [201, 600]);
  const admission = invited(get);
  await admission.enter("", 0);
  await admission.enter("", 4);
  assert.equal(asked.length, 1);
  assert.equal(await admission.enter("", 6), true);
  assert.equal(admission.refusal, null);
});

test("a token that still holds is tried before another is asked for", async () => {
  const { asked, get } = server([201, 600]);
  const admission = invited(get);
  await admission.enter("", 0);
  assert.equal(await admission.enter("", 60), true);
  assert.equal(asked.length, 1);
});

test("what has let in and does no more has expired, whatever the listener's clock says", async () => {
  const listen = BARE.replace("1700000000", "99999999999");
  for (const [first, refusal] of [[200, "expired"], [403, "private"]]) {
    const admission = new Admission("room", { token: null, listen }, server().get);
    const answers = [404, first, 403, 403, 403];
    const ask = async () => new Response("", { status: answers.shift() });
    await admission.knock(ask, 0);
    await admission.knock(ask, 10);
    assert.equal(admission.refusal, refusal);
  }
});

test("a bare token is used as it is, once, and says itself whether it has expired", async () => {
  const { asked, get } = server();
  const over = new Admission("room", { token: null, listen: BARE }, get);
  assert.equal(await over.enter("", 0), true);
  assert.equal(over.path, `/p/${BARE}`);
  assert.equal(await over.enter(over.path, 1), false);
  assert.equal(over.refusal, "expired");
  const later = BARE.replace("1700000000", "99999999999");
  const wrong = new Admission("room", { token: null, listen: later }, get);
  assert.equal(await wrong.enter("", 0), true);
  assert.equal(await wrong.enter(wrong.path, 1), false);
  assert.equal(wrong.refusal, "private");
  assert.deepEqual(asked, []);
});

test("where an invitation does not help, a bare token may", async () => {
  const { get } = server([403]);
  const admission = new Admission("room", { token: "jwt", listen: BARE }, get);
  assert.equal(await admission.enter("", 0), true);
  assert.equal(admission.path, `/p/${BARE}`);
});

test("a server that cannot be reached refuses nobody", async () => {
  const admission = invited(async () => { throw new TypeError("failed to fetch"); });
  assert.equal(await admission.enter("", 0), false);
  assert.equal(admission.refusal, null);
});

test("only a path of a token goes before addresses", async () => {
  const get = async () => Response.json({ path: "//elsewhere.example", expires: NOON });
  const admission = invited(get);
  assert.equal(await admission.enter("", 0), false);
  assert.equal(admission.path, "");
});

test("what a token does not open any more may have become public", async () => {
  const admission = new Admission("room", { token: null, listen: BARE }, async () => new Response("", { status: 500 }));
  admission.signed = await admission.enter("", 0);
  const asked = [];
  const response = await admission.knock(async (prefix) => {
    asked.push(prefix);
    return new Response("", { status: prefix === "" ? 200 : 403 });
  }, 10);
  assert.deepEqual([response.status, admission.prefix], [200, ""]);
  assert.deepEqual(asked, [`/p/${BARE}`, ""]);
});

test("a good token is told the truth: what is not there is not asked for again", async () => {
  const admission = new Admission("room", { token: null, listen: BARE }, async () => new Response("", { status: 500 }));
  const asked = [];
  const response = await admission.knock(async (prefix) => {
    asked.push(prefix);
    return new Response("", { status: 404 });
  }, 10);
  assert.equal(response.status, 404);
  assert.deepEqual(asked, ["", `/p/${BARE}`]);
});
