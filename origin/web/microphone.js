// The microphone: which one, how its sound is taken, and what stands in the way.

import { remember, remembered } from "./memory.js";

/** @param {{name: string}} error of getUserMedia @returns {"denied"|"none"|"busy"} */
export function failureOf(error) {
  if (error.name === "NotAllowedError" || error.name === "SecurityError") return "denied";
  if (error.name === "NotFoundError" || error.name === "OverconstrainedError") return "none";
  return "busy";
}

/**
 * Original sound is what the microphone gives: for music, and for whoever has their sound done elsewhere.
 *
 * @param {string | null} id @param {boolean} original @returns {MediaTrackConstraints}
 */
export function constraintsFor(id, original) {
  return {
    // A wish, so that another microphone is found where this one is not plugged in.
    ...(id === null ? {} : { deviceId: { ideal: id } }),
    echoCancellation: !original,
    noiseSuppression: !original,
    autoGainControl: !original,
    channelCount: { ideal: original ? 2 : 1 },
    sampleRate: { ideal: 48_000 },
    latency: { ideal: 0.01 },
  };
}

/** What Opus may use, in bits a second: transparent speech, or music in stereo. */
export function bitrateFor(original) {
  return original ? 160_000 : 64_000;
}

/** Events: "change" (track, state or the list of devices). */
export class Microphone extends EventTarget {
  #devices;
  #track = null;
  #state = "closed";
  #chosen = remembered("microphone");
  #original = remembered("original") === "true";
  #muted = false;
  #list = [];
  #turn = 0;

  /** @param {MediaDevices} devices */
  constructor(devices) {
    super();
    this.#devices = devices;
    devices.addEventListener?.("devicechange", () => this.#onDevices());
  }

  get track() {
    return this.#track;
  }

  /** @returns {"closed"|"asking"|"open"|"denied"|"none"|"busy"} */
  get state() {
    return this.#state;
  }

  /** Whether the system holds the sound back, as during a call. */
  get interrupted() {
    return this.#track?.muted === true;
  }

  get original() {
    return this.#original;
  }

  get maxBitrate() {
    return bitrateFor(this.#original);
  }

  /** The id of the microphone that is open, else of the one that was chosen. */
  get id() {
    return this.#track?.getSettings().deviceId ?? this.#chosen;
  }

  /** @returns {{id: string, label: string}[]} */
  get list() {
    return this.#list;
  }

  get muted() {
    return this.#muted;
  }

  set muted(on) {
    this.#muted = on;
    if (this.#track !== null) this.#track.enabled = !on;
    this.#changed();
  }

  /** Ask for the microphone; the browser may ask the speaker. */
  async open() {
    this.#turn += 1;
    const turn = this.#turn;
    if (this.#track === null) this.#become("asking");
    try {
      const stream = await this.#devices.getUserMedia({ audio: constraintsFor(this.#chosen, this.#original) });
      const [track] = stream.getAudioTracks();
      // Another microphone was chosen while the browser asked.
      if (turn !== this.#turn) track.stop();
      else await this.#take(track);
    } catch (error) {
      if (turn !== this.#turn) return;
      this.#drop();
      this.#become(failureOf(error));
    }
  }

  /** Let it go: the browser's sign that the page listens goes out. */
  close() {
    this.#turn += 1;
    this.#drop();
    this.#muted = false;
    this.#become("closed");
  }

  async choose(id) {
    this.#chosen = id;
    remember("microphone", id);
    if (this.#state !== "closed") await this.open();
  }

  async setOriginal(on) {
    this.#original = on;
    remember("original", String(on));
    if (this.#track !== null || this.#state === "asking") await this.open();
  }

  async #take(track) {
    this.#drop();
    this.#track = track;
    track.enabled = !this.#muted;
    // Speech coders listen to these hints: RFC 6716's two modes.
    track.contentHint = this.#original ? "music" : "speech";
    for (const event of ["mute", "unmute"]) track.addEventListener(event, () => this.#changed());
    // It was unplugged, or taken back: another one does for the moment.
    track.addEventListener("ended", () => { if (track === this.#track) this.open(); });
    this.#state = "open";
    await this.#enumerate();
  }

  #drop() {
    const track = this.#track;
    this.#track = null;
    track?.stop();
  }

  async #onDevices() {
    await this.#enumerate();
    const back = this.#chosen !== null && this.id !== this.#chosen && this.#list.some(({ id }) => id === this.#chosen);
    if ((this.#track !== null && back) || this.#state === "none") await this.open();
  }

  /** Names are told only after the permission was given. */
  async #enumerate() {
    const devices = await this.#devices.enumerateDevices().catch(() => []);
    this.#list = devices
      .filter(({ kind, deviceId }) => kind === "audioinput" && deviceId !== "")
      .map(({ deviceId, label }, index) => ({ id: deviceId, label: label || `Microphone ${index + 1}` }));
    this.#changed();
  }

  #become(state) {
    this.#state = state;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
