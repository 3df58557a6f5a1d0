import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Microphone, bitrateFor, constraintsFor, failureOf } from "../../origin/web/microphone.js";

const stored = new Map();
globalThis.localStorage = { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, value) };
beforeEach(() => stored.clear());

class Track extends EventTarget {
  enabled = true;
  muted = false;
  stopped = false;

  constructor(id) {
    super();
    this.id = id;
  }

  getSettings() {
    return { deviceId: this.id };
  }

  stop() {
    this.stopped = true;
  }
}

/** Microphones by id; the first is the browser's choice. A wish that cannot be met is met by that one. */
class Devices extends EventTarget {
  asked = [];
  failure = null;

  constructor(...ids) {
    super();
    this.ids = ids;
  }

  async getUserMedia({ audio }) {
    this.asked.push(audio);
    if (this.failure !== null) throw Object.assign(new Error(this.failure), { name: this.failure });
    if (this.ids.length === 0) throw Object.assign(new Error("none"), { name: "NotFoundError" });
    const wish = audio.deviceId?.ideal;
    const track = new Track(this.ids.includes(wish) ? wish : this.ids[0]);
    return { getAudioTracks: () => [track] };
  }

  async enumerateDevices() {
    return [
      { kind: "videoinput", deviceId: "camera", label: "Camera" },
      ...this.ids.map((deviceId) => ({ kind: "audioinput", deviceId, label: deviceId === "plain" ? "" : `The ${deviceId}` })),
    ];
  }

  async plug(...ids) {
    this.ids = ids;
    this.dispatchEvent(new Event("devicechange"));
    await settled();
  }
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

test("speech is cleaned by the browser, original sound is not, and may be stereo", () => {
  const speech = constraintsFor(null, false);
  assert.deepEqual([speech.echoCancellation, speech.noiseSuppression, speech.autoGainControl], [true, true, true]);
  const music = constraintsFor("usb", true);
  assert.deepEqual([music.echoCancellation, music.noiseSuppression, music.autoGainControl], [false, false, false]);
  assert.deepEqual([music.channelCount, music.deviceId], [{ ideal: 2 }, { ideal: "usb" }]);
  assert.ok(bitrateFor(true) > bitrateFor(false));
});

test("what stands in the way has a name", () => {
  const names = ["NotAllowedError", "NotFoundError", "OverconstrainedError", "NotReadableError", "AbortError"];
  assert.deepEqual(names.map((name) => failureOf({ name })), ["denied", "none", "none", "busy", "busy"]);
});

test("an open microphone has a track, and the list has names", async () => {
  const microphone = new Microphone(new Devices("plain", "usb"));
  const opening = microphone.open();
  assert.equal(microphone.state, "asking");
  await opening;
  assert.equal(microphone.state, "open");
  assert.equal(microphone.id, "plain");
  assert.deepEqual(microphone.list, [{ id: "plain", label: "Microphone 1" }, { id: "usb", label: "The usb" }]);
});

test("a choice is taken at once, and the next time too; the old microphone is let go", async () => {
  const devices = new Devices("plain", "usb");
  const microphone = new Microphone(devices);
  await microphone.open();
  const old = microphone.track;
  await microphone.choose("usb");
  assert.equal(microphone.id, "usb");
  assert.ok(old.stopped);
  const next = new Microphone(devices);
  await next.open();
  assert.equal(next.id, "usb");
});

test("a microphone that is unplugged is replaced, and taken again when it is back", async () => {
  const devices = new Devices("plain", "usb");
  const microphone = new Microphone(devices);
  await microphone.open();
  await microphone.choose("usb");
  const { track } = microphone;
  await devices.plug("plain");
  track.dispatchEvent(new Event("ended"));
  await settled();
  assert.equal(microphone.id, "plain");
  await devices.plug("plain", "usb");
  assert.equal(microphone.id, "usb");
});

test("the last one unplugged leaves none; the first one plugged in is taken", async () => {
  const devices = new Devices("plain");
  const microphone = new Microphone(devices);
  await microphone.open();
  const { track } = microphone;
  await devices.plug();
  track.dispatchEvent(new Event("ended"));
  await settled();
  assert.equal(microphone.state, "none");
  assert.equal(microphone.track, null);
  await devices.plug("usb");
  assert.equal(microphone.state, "open");
});

test("mute holds while the microphone changes", async () => {
  const microphone = new Microphone(new Devices("plain", "usb"));
  await microphone.open();
  microphone.muted = true;
  assert.equal(microphone.track.enabled, false);
  await microphone.choose("usb");
  assert.equal(microphone.track.enabled, false);
  microphone.muted = false;
  assert.equal(microphone.track.enabled, true);
});

test("original sound is asked for anew, and remembered", async () => {
  const devices = new Devices("plain");
  const microphone = new Microphone(devices);
  await microphone.open();
  await microphone.setOriginal(true);
  assert.equal(devices.asked.at(-1).echoCancellation, false);
  assert.equal(new Microphone(devices).original, true);
});

test("who wishes for original sound while the browser still asks gets it", async () => {
  const devices = new Devices("plain");
  const microphone = new Microphone(devices);
  const opening = microphone.open();
  await microphone.setOriginal(true);
  await opening;
  assert.equal(microphone.state, "open");
  assert.deepEqual(devices.asked.map(({ echoCancellation }) => echoCancellation), [true, false]);
});

test("a refusal is told, and trying again may succeed", async () => {
  const devices = new Devices("plain");
  devices.failure = "NotAllowedError";
  const microphone = new Microphone(devices);
  await microphone.open();
  assert.equal(microphone.state, "denied");
  devices.failure = null;
  await microphone.open();
  assert.equal(microphone.state, "open");
});

test("of two requests at once the later counts", async () => {
  const microphone = new Microphone(new Devices("plain", "usb"));
  await Promise.all([microphone.open(), microphone.choose("usb")]);
  assert.equal(microphone.id, "usb");
  assert.equal(microphone.track.stopped, false);
});

test("a microphone that is let go is let go, and not taken again by a choice", async () => {
  const devices = new Devices("plain", "usb");
  const microphone = new Microphone(devices);
  await microphone.open();
  microphone.muted = true;
  const { track } = microphone;
  microphone.close();
  assert.ok(track.stopped);
  assert.deepEqual([microphone.state, microphone.track, microphone.muted], ["closed", null, false]);
  await microphone.choose("usb");
  assert.equal(microphone.track, null);
  await microphone.open();
  assert.equal(microphone.id, "usb");
});
