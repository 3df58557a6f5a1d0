// The chapters of a replay, as links: each can be opened, copied and shared, and a press on it goes there.

import { momentHash } from "./moment.js";
import { chapterAt } from "./timeline.js";
import { clock } from "./words.js";

export class ChapterList {
  #list;
  #go;
  #chapters = [];
  #current = -1;

  /** @param {HTMLElement} list @param {(at: number) => void} go */
  constructor(list, go) {
    this.#list = list;
    this.#go = go;
  }

  /** @param {import("./timeline.js").Chapter[]} chapters */
  show(chapters) {
    this.#chapters = chapters;
    this.#current = -1;
    // As wide as the longest time, in bold.
    this.#list.style.setProperty("--time", `${clock(chapters.at(-1)?.at ?? 0).length + 1}ch`);
    this.#list.replaceChildren(...chapters.map((chapter) => this.#item(chapter)));
  }

  /** @param {number} position seconds @returns {import("./timeline.js").Chapter | null} the one that lasts there */
  follow(position) {
    const current = chapterAt(this.#chapters, position);
    if (current !== this.#current) {
      this.#list.children[this.#current]?.firstChild.removeAttribute("aria-current");
      this.#list.children[current]?.firstChild.setAttribute("aria-current", "true");
      this.#current = current;
    }
    return this.#chapters[current] ?? null;
  }

  #item({ at, title }) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = `#${momentHash(at)}`;
    const [time, name] = ["time", "name"].map((kind) => {
      const part = document.createElement("span");
      part.className = kind;
      return part;
    });
    time.textContent = clock(at);
    name.textContent = title || "Chapter without a title";
    link.append(time, " ", name);
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      event.preventDefault();
      this.#go(at);
    });
    item.append(link);
    return item;
  }
}
