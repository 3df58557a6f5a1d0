// Who spoke when: one line a speaker, below the waveform and as wide.

import { pointable } from "./pointing.js";
import { covers, total } from "./timeline.js";
import { drawLane, redrawn } from "./waveform.js";
import { lasting } from "./replay_words.js";

// More than these are a crowd: the others come at a press.
const SHOWN = 6;

/**
 * Those who spoke, who spoke most first.
 *
 * @param {import("./replay_source.js").Replay["speakers"]} speakers
 */
export function heard(speakers) {
  const spoke = speakers.filter((speaker) => speaker.spoke.length > 0);
  return spoke.sort((one, other) => total(other.spoke) - total(one.spoke));
}

/** @param {import("./replay_source.js").Replay["speakers"]} speakers @param {number} seconds @returns {string[]} */
export function speakingAt(speakers, seconds) {
  return speakers.filter(({ spoke }) => covers(spoke, seconds)).map(({ name }) => name);
}

export class SpeakerLanes {
  #list;
  #more;
  #hand;
  #lanes = [];
  #seconds = 1;
  #position = 0;

  /** @param {HTMLElement} list @param {HTMLButtonElement} more @param {object} hand see pointing.js */
  constructor(list, more, hand) {
    this.#list = list;
    this.#more = more;
    this.#hand = hand;
    more.addEventListener("click", () => this.#showAll());
    redrawn(list, () => this.#draw());
  }

  /** @param {import("./replay_source.js").Replay} replay */
  show({ speakers, seconds }) {
    this.#seconds = seconds;
    this.#lanes = heard(speakers).map((speaker, index) => this.#lane(speaker, index));
    this.#list.replaceChildren(...this.#lanes.map(({ item }) => item));
    const others = this.#lanes.length - SHOWN;
    this.#more.hidden = others <= 0;
    this.#more.textContent = others === 1 ? "Show 1 more" : `Show ${others} more`;
    this.#draw();
  }

  /** @param {number} position seconds */
  move(position) {
    if (position === this.#position) return;
    this.#position = position;
    this.#draw();
  }

  #lane(speaker, index) {
    const item = document.createElement("li");
    item.hidden = index >= SHOWN;
    const [name, time] = ["who", "doing"].map((kind) => {
      const part = document.createElement("span");
      part.className = kind;
      return part;
    });
    name.textContent = speaker.name;
    time.textContent = lasting(total(speaker.spoke));
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    pointable(canvas, this.#hand);
    item.append(name, " ", time, canvas);
    return { item, canvas, speaker };
  }

  #draw() {
    for (const { item, canvas, speaker } of this.#lanes) {
      if (item.hidden) continue;
      item.dataset.speaking = String(covers(speaker.spoke, this.#position));
      drawLane(canvas, speaker, this.#seconds, this.#position);
    }
  }

  #showAll() {
    const first = this.#lanes[SHOWN].item;
    for (const { item } of this.#lanes) item.hidden = false;
    this.#more.hidden = true;
    this.#draw();
    // The button has gone from under the focus: it goes on where there is something new.
    first.tabIndex = -1;
    first.focus();
  }
}
