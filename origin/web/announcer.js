// What a screen reader says of who speaks and of chapters: seldom enough that the room itself can still be heard.

import { listed } from "./happening.js";

// Who says "mm-hm" has not taken the floor.
const STEADY = 1.5;
// Between two announcements of voices.
const APART = 10;
// A voice that was heard this recently is still known.
const FORGET = 120;

/** Call `step` with what is heard, about ten times a second; it says something now and then. */
export class Announcer {
  #chapter = null;
  #next = { chapter: null, since: 0 };
  #voices = { key: "", since: 0 };
  // When each voice that was announced was heard last.
  #known = new Map();
  #spoken = -Infinity;

  /**
   * @param {import("./happening.js").Happening} happening
   * @param {number} now seconds
   * @returns {string} what to say now; "" for nothing new
   */
  step({ speakers, chapter }, now) {
    return [this.#ofChapter(chapter, now), this.#ofVoices(speakers, now)].filter(Boolean).join(". ");
  }

  #ofChapter(chapter, now) {
    if (chapter !== this.#next.chapter) this.#next = { chapter, since: now };
    if (chapter === this.#chapter || now - this.#next.since < STEADY) return "";
    this.#chapter = chapter;
    return chapter === null ? "" : `Chapter: ${chapter}`;
  }

  #ofVoices(speakers, now) {
    const key = JSON.stringify(speakers);
    if (key !== this.#voices.key) this.#voices = { key, since: now };
    const news = speakers.filter((name) => !(now - this.#known.get(name) < FORGET));
    const steady = now - this.#voices.since >= STEADY;
    const telling = news.length > 0 && steady && now - this.#spoken >= APART;
    for (const name of speakers) {
      if (telling || !news.includes(name)) this.#known.set(name, now);
    }
    if (!telling) return "";
    this.#spoken = now;
    return `${listed(news)} ${news.length === 1 ? "speaks" : "speak"}`;
  }
}
