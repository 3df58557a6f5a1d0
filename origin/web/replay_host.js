// The host's part of the replay page: publish, edit, delete.

import { confirmed } from "./confirm.js";
import { secondsOf } from "./moment.js";
import { clock } from "./words.js";

const PUBLIC = "Published: it is in the lobby and in the podcast feed, and whoever has the link can hear it.";
const INVITED = "Published: whoever is invited to this room can hear it.";
const HIDDEN = "Not published: only hosts of this room can see and hear it.";

/** Chapters as the server takes them. One whose time nobody has touched keeps its sample. */
export function edited(rows) {
  return rows.map(({ sample, before, time, title }) => {
    if (sample !== null && time === before) return { sample, title };
    return { seconds: secondsOf(time), title };
  });
}

export class HostPart {
  #$;
  #api;
  #page;
  #known = null;

  /**
   * @param {(id: string) => HTMLElement} $
   * @param {import("./replay_api.js").ReplayApi} api
   * @param {object} page
   * @param {() => number} page.position seconds
   * @param {(replay: import("./replay_api.js").HostReplay) => void} page.changed
   * @param {() => void} page.deleted
   */
  constructor($, api, page) {
    this.#$ = $;
    this.#api = api;
    this.#page = page;
    $("publish").addEventListener("click", () => this.#publish());
    $("delete").addEventListener("click", () => this.#delete());
    $("add-chapter").addEventListener("click", () => this.#addHere());
    $("edit").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#save();
    });
  }

  /** @param {import("./replay_api.js").HostReplay} replay */
  show(replay) {
    this.#known = replay;
    const $ = this.#$;
    $("host").hidden = false;
    $("visibility").textContent = replay.published ? (replay.private ? INVITED : PUBLIC) : HIDDEN;
    $("publish").textContent = replay.published ? "Unpublish" : "Publish";
    $("edit-title").value = replay.ownTitle;
    $("edit-title").placeholder = replay.ownTitle === "" ? replay.title : "The room's title and the day";
    $("edit-chapters").replaceChildren(...replay.chapters.map((chapter) => this.#row(chapter)));
  }

  /** What stands on the button that adds a chapter. */
  move(position) {
    const text = clock(position);
    if (this.#$("add-at").textContent !== text) this.#$("add-at").textContent = text;
  }

  async #publish() {
    const published = !this.#known.published;
    const done = published ? "It is published." : "It is not published any more. Caches may keep it for a minute.";
    await this.#change({ published }, done);
  }

  async #save() {
    const rows = this.#rows();
    if (rows === null) return;
    const title = this.#$("edit-title").value.trim();
    const before = this.#known.chapters.map(({ sample, title: name }) => ({ sample, title: name }));
    const chapters = edited(rows);
    const change = {};
    if (title !== this.#known.ownTitle) change.title = title === "" ? null : title;
    if (JSON.stringify(chapters) !== JSON.stringify(before)) change.chapters = chapters;
    if (Object.keys(change).length === 0) this.#say("Nothing was changed.");
    else await this.#change(change, "Saved.");
  }

  async #change(change, done) {
    this.#busy(true);
    this.#say("Saving…");
    const answer = await this.#api.change(change);
    this.#busy(false);
    if (answer.replay === undefined) {
      this.#say(`That did not work: ${answer.complaint ?? "it is being put together just now"}.`);
      return;
    }
    this.show(answer.replay);
    this.#page.changed(answer.replay);
    this.#say(done);
  }

  async #delete() {
    const question = `Delete “${this.#known.title}” for good? The recording and everything made from it is removed.`;
    if (!await confirmed(this.#$("confirm"), question, "Delete")) return;
    this.#busy(true);
    this.#say("Deleting…");
    const complaint = await this.#api.remove();
    this.#busy(false);
    if (complaint === null) this.#page.deleted();
    else this.#say(`That did not work: ${complaint}.`);
  }

  /** Waiting is not disabled: the focus stays where it is. */
  #busy(busy) {
    for (const id of ["publish", "save", "delete"]) {
      const button = this.#$(id);
      if (busy) button.setAttribute("aria-disabled", "true");
      else button.removeAttribute("aria-disabled");
    }
  }

  #say(text) {
    this.#$("host-said").textContent = text;
  }

  // ---- the chapters' rows ----------------------------------------------------------------------------------

  /** What is written in them; null where something of it cannot be, which is pointed out. */
  #rows() {
    const rows = [...this.#$("edit-chapters").children].map((item) => {
      const [time, title] = item.querySelectorAll("input");
      const known = secondsOf(time.value) !== null;
      time.setCustomValidity(known ? "" : "A time such as 12:34 or 1:02:34");
      title.setCustomValidity(title.value.trim() === "" ? "A title for this chapter" : "");
      const { sample, before } = item.dataset;
      return {
        sample: sample === undefined ? null : Number(sample), before, time: time.value.trim(), title: title.value.trim(),
      };
    });
    return this.#$("edit").reportValidity() ? rows : null;
  }

  #addHere() {
    const row = this.#row({ at: this.#page.position(), title: "" });
    this.#$("edit-chapters").append(row);
    row.querySelectorAll("input")[1].focus();
  }

  #row({ at, sample, title }) {
    const item = document.createElement("li");
    const time = field("Begins at", clock(at));
    time.className = "time";
    const name = field("Title of the chapter", title);
    name.maxLength = 1024;
    if (sample !== undefined) Object.assign(item.dataset, { sample, before: clock(at) });
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "round";
    remove.dataset.icon = "remove";
    remove.title = title === "" ? "Remove this chapter" : `Remove “${title}”`;
    remove.setAttribute("aria-label", remove.title);
    remove.addEventListener("click", () => {
      const next = item.nextElementSibling ?? item.previousElementSibling;
      item.remove();
      (next?.querySelector("button") ?? this.#$("add-chapter")).focus();
    });
    item.append(time, name, remove);
    return item;
  }
}

function field(label, value) {
  const input = document.createElement("input");
  input.type = "text";
  input.autocomplete = "off";
  input.setAttribute("aria-label", label);
  input.value = value;
  input.addEventListener("input", () => input.setCustomValidity(""));
  return input;
}
