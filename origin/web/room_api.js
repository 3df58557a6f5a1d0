// What a speaker and a host ask the server about one room: GET /rooms/{room}, and the host's hand.

import { authorization } from "./token.js";

const PATIENCE_MS = 8000;

/**
 * @typedef {{name: string | null, kind: string, speaking: boolean, muted: boolean}} SpeakerNow
 * @typedef {object} RoomNow
 * @property {string} title
 * @property {string | null} take null: not live
 * @property {number | null} since when the take began, in milliseconds since 1970
 * @property {number | null} listeners null: not known
 * @property {SpeakerNow[]} speakers
 * @property {{role: string | null, name: string | null}} you
 */

/** @param {string} room @param {object} said the server's JSON @returns {RoomNow} */
export function readRoom(room, said) {
  const live = said.live ?? null;
  return {
    title: said.title || room,
    take: live?.take ?? null,
    since: typeof live?.epoch_us === "number" ? live.epoch_us / 1000 : null,
    listeners: said.listeners ?? live?.listeners ?? null,
    speakers: (live?.speakers ?? []).map((speaker) => ({
      name: speaker.name ?? null,
      kind: speaker.kind ?? "pcm",
      speaking: speaker.speaking === true,
      muted: speaker.muted === true,
    })),
    you: { role: said.you?.role ?? null, name: said.you?.name ?? null },
  };
}

export class RoomApi {
  #room;
  #token;
  #get;

  /** @param {string} room @param {string | null} token @param {typeof fetch} get */
  constructor(room, token, get) {
    this.#room = room;
    this.#token = token;
    this.#get = get;
  }

  /**
   * @returns {Promise<{kind: "known", room: RoomNow} | {kind: "refused", status: number, message: string} |
   *   {kind: "unreachable"}>}
   */
  async ask() {
    try {
      const response = await this.#request("GET", "");
      const said = await response.json().catch(() => ({}));
      if (response.ok) return { kind: "known", room: readRoom(this.#room, said) };
      // Nobody has made this room or spoken in it yet: whoever speaks first opens it.
      if (response.status === 404) return { kind: "known", room: readRoom(this.#room, { you: said.you }) };
      if (response.status >= 500) return { kind: "unreachable" };
      return { kind: "refused", status: response.status, message: said.error ?? "" };
    } catch {
      return { kind: "unreachable" };
    }
  }

  mute(name) {
    return this.#hand("POST", `/speakers/${encodeURIComponent(name)}/mute`);
  }

  unmute(name) {
    return this.#hand("POST", `/speakers/${encodeURIComponent(name)}/unmute`);
  }

  remove(name) {
    return this.#hand("DELETE", `/speakers/${encodeURIComponent(name)}`);
  }

  chapter(title) {
    return this.#hand("POST", "/chapters", { title });
  }

  end() {
    return this.#hand("POST", "/end");
  }

  /** Null when it was done, else what the server said. */
  async #hand(method, path, body) {
    try {
      const response = await this.#request(method, path, body);
      if (response.ok) return null;
      const said = await response.json().catch(() => ({}));
      return said.error ?? `the server answered ${response.status}`;
    } catch {
      return "the server does not answer";
    }
  }

  #request(method, path, body) {
    const headers = authorization(this.#token);
    if (body !== undefined) headers["Content-Type"] = "application/json";
    return this.#get(`/rooms/${encodeURIComponent(this.#room)}${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  }
}
