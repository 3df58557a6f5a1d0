import assert from "node:assert/strict";
import { test } from "node:test";

import { rerouted } from "../../origin/web/rerouting.js";

const PART = "http://home.example/live/r/t/64k/7.1.m4s";
const LIST = "http://home.example/live/r/t/64k/index.m3u8?_HLS_msn=7&_HLS_part=2";

/** The parts of hls.js and of a request that are touched. */
class FakeLoader {
  load(context, config, callbacks) {
    Object.assign(this, { context, config, callbacks });
  }
}

class FakeRequest extends EventTarget {
  status = 0;
  opened = null;

  open(...how) {
    this.opened = how;
  }

  end(type, status = 0) {
    this.status = status;
    this.dispatchEvent(new Event(type));
  }
}

function at(base) {
  const place = { base, reports: [], address: (path) => place.base + path };
  place.report = (...report) => place.reports.push(report);
  return { place, ...rerouted({ DefaultConfig: { loader: FakeLoader } }, place) };
}

async function asked({ xhrSetup }, url, context = {}) {
  const request = new FakeRequest();
  await xhrSetup(request, url, context);
  return request;
}

test("each request goes to where one listens by then, with its query", async () => {
  const route = at("http://edge.example/p/TOKEN");
  const first = await asked(route, LIST);
  const expected = "http://edge.example/p/TOKEN/live/r/t/64k/index.m3u8?_HLS_msn=7&_HLS_part=2";
  assert.deepEqual(first.opened, ["GET", expected, true]);
  route.place.base = "";
  assert.equal((await asked(route, PART)).opened[1], "/live/r/t/64k/7.1.m4s");
});

test("hls.js keeps its own idea of its addresses", () => {
  const loader = new (at("http://edge.example").loader)();
  const got = [];
  loader.load({ url: LIST }, {}, { onSuccess: (...all) => got.push(all), onError: "kept" });
  loader.callbacks.onSuccess({ url: "http://edge.example/x", data: "text", code: 200 }, "stats", "context", "xhr");
  assert.deepEqual(got, [[{ url: LIST, data: "text", code: 200 }, "stats", "context", "xhr"]]);
  assert.equal(loader.callbacks.onError, "kept");
});

test("what becomes of a request is told of the base that it went to", async () => {
  const route = at("http://edge.example");
  const requests = [await asked(route, LIST), await asked(route, PART), await asked(route, LIST)];
  route.place.base = "";
  requests[0].end("load", 200);
  requests[1].end("error");
  requests[2].end("abort");
  assert.deepEqual(route.place.reports, [["http://edge.example", 200], ["http://edge.example", 0]]);
});

test("a part that hls.js has just got waits a moment, other parts and playlists do not", async () => {
  const route = at("");
  const other = PART.replace("7.1", "7.2");
  const frag = { frag: {} };
  const begun = performance.now();
  for (const [url, context] of [[PART, frag], [LIST, {}], [LIST, {}], [other, frag]]) await asked(route, url, context);
  const again = asked(route, other, frag);
  let done = false;
  again.then(() => { done = true; });
  await Promise.resolve();
  await asked(route, LIST);
  assert.equal(done, false);
  await again;
  assert.ok(performance.now() - begun >= 39);
});
