// Where a room has ended: the way to what can be heard again of it, once that is there.

import { findRoom } from "./rooms.js";

const FIRST_MS = 1500;
const LONGEST_MS = 30_000;

/**
 * Which of a room's replays to lead to, and in which words.
 *
 * @param {import("./rooms.js").Kept[]} replays newest first
 * @param {string | null} take what has been heard here
 * @returns {{href: string, text: string} | null}
 */
export function leadTo(replays, take) {
  const mine = replays.find((replay) => replay.take === take);
  if (mine !== undefined) return { href: mine.page, text: "Listen to the replay" };
  // What was heard is being put together: an older one would be a mistake.
  if (take !== null || replays.length === 0) return null;
  return { href: replays[0].page, text: "Listen to the last replay" };
}

export class ReplayLink {
  #room;
  #link;
  #place;
  #timer = null;
  #delay = FIRST_MS;
  #take = undefined;

  /** @param {string} room @param {HTMLAnchorElement} link @param {import("./place.js").Place} place */
  constructor(room, link, place) {
    this.#room = room;
    this.#link = link;
    this.#place = place;
  }

  /**
   * Call it as often as you like.
   *
   * @param {boolean} wanted whether the room is silent @param {string | null} take what has been heard here
   */
  show(wanted, take) {
    if (!wanted) {
      clearTimeout(this.#timer);
      [this.#timer, this.#take, this.#delay, this.#link.hidden] = [null, undefined, FIRST_MS, true];
    } else if (this.#take !== take) {
      clearTimeout(this.#timer);
      [this.#take, this.#delay] = [take, FIRST_MS];
      this.#look(take);
    }
  }

  async #look(take) {
    const replays = this.#place.private ? await this.#kept(take) : ((await findRoom(this.#room))?.replays ?? []);
    if (this.#take !== take) return;
    const lead = leadTo(replays, take);
    if (lead !== null) {
      [this.#link.href, this.#link.textContent] = [lead.href, lead.text];
      this.#link.hidden = false;
      return;
    }
    // A room where nothing is kept is asked less and less often, and not by all who heard it at once.
    this.#timer = setTimeout(() => this.#look(take), this.#delay * (0.75 + 0.5 * Math.random()));
    this.#delay = Math.min(LONGEST_MS, 1.5 * this.#delay);
  }

  /** The lobby lists nothing of a private room; its take can be asked for by who has heard it. */
  async #kept(take) {
    const page = `/replay/${encodeURIComponent(this.#room)}/${encodeURIComponent(take)}`;
    const response = take === null ? null : await this.#place.get(`${page}/take.json`).catch(() => null);
    return response?.ok ? [{ take, page }] : [];
  }
}
