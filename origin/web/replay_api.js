// What a host asks of one replay, and may change of it: GET, PATCH and DELETE /rooms/{room}/replays/{take}.

import { authorization } from "./token.js";

// Tags and playlists are made anew before the server answers.
const PATIENCE_MS = 60_000;

/**
 * @typedef {object} HostReplay
 * @property {string} title as listeners read it @property {string} ownTitle the host's own; "" where there is none
 * @property {{at: number, sample: number, title: string}[]} chapters
 * @property {boolean} published @property {boolean} private
 */

/** @param {object} said the server's JSON @returns {HostReplay} */
export function readHostReplay(said) {
  return {
    title: said.title ?? "",
    ownTitle: said.own?.title ?? "",
    chapters: (said.chapters ?? []).map(({ sample, seconds, title }) => ({ at: seconds, sample, title })),
    published: said.published === true,
    private: said.private === true,
  };
}

export class ReplayApi {
  #path;
  #token;
  #get;

  /** @param {string} room @param {string} take @param {string | null} token @param {typeof fetch} get */
  constructor(room, take, token, get) {
    this.#path = `/rooms/${encodeURIComponent(room)}/replays/${encodeURIComponent(take)}`;
    this.#token = token;
    this.#get = get;
  }

  /** @returns {Promise<HostReplay | null>} null for who may not, and where there is nothing yet */
  async ask() {
    const { replay } = await this.#request("GET");
    return replay ?? null;
  }

  /**
   * @param {{title?: string | null, chapters?: object[] | null, published?: boolean}} change
   * @returns {Promise<{replay: HostReplay} | {complaint: string}>}
   */
  change(change) {
    return this.#request("PATCH", change);
  }

  /** @returns {Promise<string | null>} null when it was done, else what the server said */
  async remove() {
    const { complaint } = await this.#request("DELETE");
    return complaint ?? null;
  }

  async #request(method, body) {
    const headers = authorization(this.#token);
    if (body !== undefined) headers["Content-Type"] = "application/json";
    try {
      const response = await this.#get(this.#path, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        cache: "no-store",
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
      const said = response.status === 204 ? {} : await response.json().catch(() => ({}));
      if (!response.ok) return { complaint: said.error ?? `the server answered ${response.status}` };
      // A take that is being finished has nothing to be changed yet.
      return typeof said.published === "boolean" ? { replay: readHostReplay(said) } : {};
    } catch {
      return { complaint: "the server does not answer" };
    }
  }
}
