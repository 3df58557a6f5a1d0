// When the server is asked what a room is at: at once or later, and one question at a time.

import { pause } from "./probe.js";

export class Lookout {
  #ask;
  #told;
  #timer = null;
  #asking = false;
  // How many times in a row the server could not be reached.
  #failures = 0;

  /**
   * @param {() => Promise<import("./probe.js").Answer>} ask
   * @param {(answer: import("./probe.js").Answer) => void} told gets each answer, and says when to ask again
   */
  constructor(ask, told) {
    this.#ask = ask;
    this.#told = told;
  }

  /** Ask in `delay` milliseconds, unless the server is about to be asked anyway. */
  soon(delay) {
    if (this.#asking || (this.#timer !== null && delay > 0)) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), delay);
  }

  /** Ask again after such an answer, `factor` times less often than where somebody waits for it. */
  again(kind, factor = 1) {
    this.soon(factor * pause(kind, this.#failures, Math.random()));
  }

  /** The server was found to be out of reach in another way than by asking. */
  lost() {
    this.#failures += 1;
    this.again("unreachable");
  }

  async #look() {
    this.#timer = null;
    this.#asking = true;
    const answer = await this.#ask();
    this.#asking = false;
    this.#failures = answer.kind === "unreachable" ? this.#failures + 1 : 0;
    this.#told(answer);
  }
}
