// What the server has of one replay: GET /replay/{room}/{take}/take.json, chapters.json and peaks.json.

import { authorization } from "./token.js";

const PATIENCE_MS = 15_000;
const RATE = 48_000;
const AGAIN_MS = 2000;
const LONGEST_MS = 15_000;

/**
 * @typedef {object} Replay
 * @property {string} title
 * @property {string} roomTitle
 * @property {boolean} private whether a token is needed to hear it
 * @property {number} start the instant it began, in milliseconds since 1970
 * @property {number} seconds
 * @property {import("./timeline.js").Chapter[]} chapters
 * @property {{name: string, joined: import("./timeline.js").Span[], spoke: import("./timeline.js").Span[]}[]} speakers
 * @property {import("./timeline.js").Span[]} gaps
 * @property {{extremes: Int8Array, length: number} | null} peaks null: not known
 */

/**
 * @typedef {{kind: "ready", replay: Replay} | {kind: "gone"} | {kind: "refused"} |
 *   {kind: "unfinished", after: number} | {kind: "trouble", after: number}} Answer `after`: when to ask again, in
 *   milliseconds
 */

export class ReplaySource {
  #path;
  #token;
  #admission;
  #get;
  #failures = 0;

  /**
   * @param {string} room @param {string} take
   * @param {string | null} token a host's
   * @param {import("./admission.js").Admission} admission the way into private rooms
   * @param {typeof fetch} get
   */
  constructor(room, take, token, admission, get) {
    this.#path = `/replay/${encodeURIComponent(room)}/${encodeURIComponent(take)}`;
    this.#token = token;
    this.#admission = admission;
    this.#get = get;
  }

  /** For who may see what others may not. @param {string | null} token */
  show(token) {
    this.#token = token;
  }

  /** Whether there is something to show. */
  get opened() {
    return this.#token !== null;
  }

  /** The sound's address; that of a private replay changes with the token. */
  get m4a() {
    return `${this.#base}.m4a`;
  }

  /**
   * Go on under a listen token, if one can be had: an audio element can show no other.
   *
   * @param {number} now seconds @returns {Promise<boolean>}
   */
  async sign(now) {
    this.#admission.signed ||= await this.#admission.enter("", now);
    return this.#admission.signed;
  }

  get #base() {
    return this.#admission.prefix + this.#path;
  }

  /** @param {number} now seconds @returns {Promise<Answer>} */
  async ask(now) {
    const response = await this.#admission.knock(() => this.#request("/take.json"), now).catch(() => null);
    if (response?.ok) {
      const [record, chapters, peaks] = await Promise.all([
        response.json().catch(() => null), this.#json("/chapters.json"), this.#json("/peaks.json"),
      ]);
      if (record !== null) {
        this.#failures = 0;
        return { kind: "ready", replay: readReplay(record, chapters, peaks) };
      }
    }
    const status = response?.status ?? 0;
    const unheard = status === 404 && this.#admission.unheard;
    if (!unheard && (status === 404 || status === 410 || status === 400)) return { kind: "gone" };
    if (status === 401 || status === 403) return { kind: "refused" };
    const told = 1000 * (Number(response?.headers.get("retry-after")) || 0);
    if (status === 409) return { kind: "unfinished", after: Math.min(LONGEST_MS, Math.max(told, AGAIN_MS)) };
    this.#failures += 1;
    const backoff = 1000 * 2 ** Math.min(10, this.#failures - 1);
    return { kind: "trouble", after: Math.min(LONGEST_MS, Math.max(told, backoff)) };
  }

  /**
   * The sound itself, for a replay that only a token opens: an audio element cannot show one.
   *
   * @param {(done: number) => void} progress how much has come, 0…1
   * @returns {Promise<string>} the address of a blob
   */
  async sound(progress) {
    const response = await this.#get(this.m4a, { headers: authorization(this.#token), cache: "no-store" });
    if (!response.ok) throw new Error(`GET ${this.m4a} answered ${response.status}`);
    const size = Number(response.headers.get("content-length"));
    const chunks = [];
    let come = 0;
    for (const reader = response.body.getReader(); ;) {
      const { value, done } = await reader.read();
      if (done) break;
      chunks.push(value);
      come += value.length;
      if (size > 0) progress(come / size);
    }
    return URL.createObjectURL(new Blob(chunks, { type: "audio/mp4" }));
  }

  /** Null where it cannot be had: the page does without. */
  async #json(path) {
    try {
      const response = await this.#request(path);
      return response.ok ? await response.json() : null;
    } catch {
      return null;
    }
  }

  #request(path) {
    return this.#get(this.#base + path, {
      headers: authorization(this.#token),
      // Kept answers are asked about: whoever edits wants to see it.
      cache: "no-cache",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  }
}

/**
 * @param {object} record take.json @param {object | null} chapters JSON chapters 1.2 of Podcasting 2.0
 * @param {object | null} peaks audiowaveform's JSON, version 2 @returns {Replay}
 */
export function readReplay(record, chapters, peaks) {
  const spans = (found) => (found ?? []).map(([from, to]) => [from / RATE, to / RATE]);
  const original = (record.chapters ?? []).map(({ sample, title }) => ({ at: sample / RATE, title }));
  const edited = chapters?.chapters?.map(({ startTime, title }) => ({ at: Number(startTime) || 0, title: title ?? "" }));
  return {
    title: chapters?.title || record.room_title || record.room,
    roomTitle: record.room_title || record.room,
    private: record.private === true,
    start: record.epoch_us / 1000,
    seconds: record.samples / RATE,
    chapters: (edited ?? original).sort((one, other) => one.at - other.at),
    speakers: (record.speakers ?? []).map(({ name, joined, spoke }) => {
      return { name, joined: spans(joined), spoke: spans(spoke) };
    }),
    gaps: spans((record.gaps ?? []).map(({ from, to }) => [from, to])),
    peaks: readPeaks(peaks, record.samples),
  };
}

function readPeaks(peaks, samples) {
  if (peaks === null || peaks.bits !== 8 || !Array.isArray(peaks.data) || !(peaks.samples_per_pixel > 0)) return null;
  return { extremes: Int8Array.from(peaks.data), length: Math.max(1, Math.ceil(samples / peaks.samples_per_pixel)) };
}
