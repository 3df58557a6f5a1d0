// The controls of the replay page that a listener holds in the hand: play, skip, speed, volume, the position.

import { remember, remembered } from "./memory.js";
import { pointable } from "./pointing.js";
import { spoken } from "./replay_words.js";
import { clock } from "./words.js";

const SKIP = 15;
const STEPS = {
  ArrowLeft: -5, ArrowDown: -5, ArrowRight: 5, ArrowUp: 5, PageDown: -60, PageUp: 60, Home: -Infinity, End: Infinity,
};

/** Write only what has changed, so that a screen reader hears each thing once. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export class Controls {
  #$;
  #sound;
  #length = 1;
  #chapterAt;
  #pointed = null;
  #held = false;
  // What the slider was told last: it may be behind while it has the focus.
  #written = 0;

  /**
   * @param {(id: string) => HTMLElement} $ @param {import("./sound.js").Sound} sound
   * @param {HTMLMediaElement} media @param {(seconds: number) => string} chapterAt a title or ""
   */
  constructor($, sound, media, chapterAt) {
    this.#$ = $;
    this.#sound = sound;
    this.#chapterAt = chapterAt;
    $("play").addEventListener("click", () => this.toggle());
    $("back").addEventListener("click", () => this.skip(-SKIP));
    $("forward").addEventListener("click", () => this.skip(SKIP));
    pointable($("wave"), this.hand);
    this.#bindSlider();
    this.#bindSpeed();
    bindVolume($, media);
    this.#bindSpace();
  }

  /** What a hand on a timeline does (pointing.js). */
  get hand() {
    return {
      length: () => this.#length,
      point: (at, held) => this.#point(at, held),
      seek: (at) => {
        this.seek(at);
        // Keys go on from where the hand has been.
        this.#$("position").focus({ preventScroll: true });
      },
    };
  }

  /** Where a mouse or a finger points, in seconds. */
  get pointed() {
    return this.#pointed;
  }

  set length(seconds) {
    this.#length = seconds;
    this.#$("position").max = String(Math.max(1, Math.floor(seconds)));
    say(this.#$("length"), clock(seconds));
  }

  toggle() {
    if (this.#sound.wanted) this.#sound.pause();
    else this.#sound.play();
  }

  skip(seconds) {
    this.seek(this.#sound.position + seconds);
  }

  seek(at) {
    this.#sound.seek(Math.min(this.#length, Math.max(0, at)));
    this.show(true);
  }

  /** @param {boolean} acted whether somebody has just moved the position */
  show(acted = false) {
    const { position, wanted } = this.#sound;
    const label = wanted ? "Pause" : "Play";
    if (this.#$("play").getAttribute("aria-label") !== label) {
      this.#$("play").setAttribute("aria-label", label);
      this.#$("play").dataset.icon = label.toLowerCase();
    }
    const shown = this.#held ? this.#pointed : position;
    say(this.#$("elapsed"), clock(shown));
    say(this.#$("here"), clock(position));
    // A screen reader reads each change of the slider that it is on: only those which its user makes.
    if (acted || document.activeElement !== this.#$("position")) this.#tell(position);
  }

  #tell(position) {
    const slider = this.#$("position");
    this.#written = Math.floor(position);
    slider.value = String(this.#written);
    const chapter = this.#chapterAt(position);
    const text = `${spoken(position)} of ${spoken(this.#length)}${chapter === "" ? "" : `, ${chapter}`}`;
    if (slider.getAttribute("aria-valuetext") !== text) slider.setAttribute("aria-valuetext", text);
  }

  #bindSlider() {
    const slider = this.#$("position");
    slider.addEventListener("keydown", (event) => {
      const step = STEPS[event.key];
      if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.skip(step);
    });
    // Screen readers on phones move the value itself.
    slider.addEventListener("input", () => this.skip(Number(slider.value) - this.#written));
    slider.addEventListener("focus", () => this.show(true));
  }

  #point(at, held) {
    this.#pointed = at;
    this.#held = held;
    const peek = this.#$("peek");
    peek.hidden = at === null;
    if (at !== null) {
      const chapter = this.#chapterAt(at);
      say(peek, chapter === "" ? clock(at) : `${clock(at)} ${chapter}`);
      const { clientWidth: width } = this.#$("wave");
      const half = peek.offsetWidth / 2;
      peek.style.left = `${Math.min(width - half, Math.max(half, (at / this.#length) * width))}px`;
    }
    this.show();
  }

  #bindSpeed() {
    const select = this.#$("speed");
    const known = [...select.options].some(({ value }) => value === remembered("speed"));
    if (known) select.value = remembered("speed");
    this.#sound.rate = Number(select.value);
    select.addEventListener("change", () => {
      this.#sound.rate = Number(select.value);
      remember("speed", select.value);
    });
  }

  #bindSpace() {
    document.addEventListener("keydown", (event) => {
      const onControl = event.target.closest("button, a, select, summary, dialog, input:not(#position)");
      if (event.key !== " " || onControl || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      if (!this.#$("kept").hidden) this.toggle();
    });
  }
}

function bindVolume($, media) {
  function show() {
    $("mute").dataset.icon = media.muted || media.volume === 0 ? "muted" : "volume";
    $("mute").setAttribute("aria-pressed", String(media.muted));
    const percent = Math.round((media.muted ? 0 : media.volume) * 100);
    $("volume").value = String(percent);
    $("volume").setAttribute("aria-valuetext", `${percent} %`);
    $("volume").style.setProperty("--filled", `${percent}%`);
  }

  media.volume = Math.min(1, Math.max(0, Number(remembered("volume") ?? 1) || 0));
  $("mute").addEventListener("click", () => { media.muted = !media.muted; });
  $("volume").addEventListener("input", () => {
    media.muted = false;
    media.volume = Number($("volume").value) / 100;
    remember("volume", String(media.volume));
  });
  media.addEventListener("volumechange", show);
  show();
}
