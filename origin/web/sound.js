// The sound of a replay: an audio element that keeps its place, its wish to play and its speed when the way to the
// server breaks, or what lies there is exchanged.

const FIRST_MS = 500;
const LONGEST_MS = 8000;
// Standing still for less than this is not worth a word, for longer than that is trouble: the element asks on by itself,
// and does not say for long that it gets nothing.
const PATIENCE_MS = 700;
const TROUBLE_MS = 4000;

/** Events: "change" (what is played, where, how fast, and whether it can). */
export class Sound extends EventTarget {
  #media;
  #url = null;
  // Where to go once there is something to go in, and where it has been: what breaks begins at zero again.
  #target = null;
  #place = 0;
  #wanted = false;
  #rate = 1;
  #failures = 0;
  #retry = null;
  // Why it stands still, if it does: "waiting", then "broken".
  #still = null;
  #stillTimers = [];

  /** @param {HTMLMediaElement} media */
  constructor(media) {
    super();
    this.#media = media;
    const changed = () => {
      if (media.readyState > 0) this.#place = media.currentTime;
      this.dispatchEvent(new Event("change"));
    };
    for (const name of ["timeupdate", "seeking", "seeked", "durationchange", "ratechange"]) {
      media.addEventListener(name, changed);
    }
    media.addEventListener("loadedmetadata", () => this.#onMetadata());
    media.addEventListener("error", () => this.#onError());
    media.addEventListener("play", () => this.#wish(true));
    media.addEventListener("pause", () => {
      // At the end it pauses by itself, and when it breaks.
      if (!media.error && this.#retry === null) this.#wish(false);
    });
    media.addEventListener("ended", () => this.#wish(false));
    media.addEventListener("waiting", () => this.#stand());
    for (const name of ["playing", "canplay", "pause", "emptied"]) media.addEventListener(name, () => this.#go());
    // Not before there is sound at the place itself: what describes it may still be in the browser's memory.
    media.addEventListener("canplay", () => { this.#failures = 0; });
    window.addEventListener("online", () => { if (this.#retry !== null) this.#again(); });
  }

  /** What to play from now on; it goes on where it was. */
  load(url) {
    if (url === this.#url) return;
    this.#target ??= this.#place;
    this.#url = url;
    this.#again();
  }

  /** The same sound lies under another address from now on: asked for there when it has to be loaded again. */
  readdress(url) {
    if (this.#url !== null) this.#url = url;
  }

  /** Must run inside a gesture, for the browser's autoplay rule. */
  play() {
    this.#wish(true);
    if (this.#retry !== null) this.#again();
    else this.#start();
  }

  pause() {
    this.#wish(false);
    this.#media.pause();
  }

  /** Nothing is to be played for the time being. */
  unload() {
    if (this.#url === null) return;
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#url = null;
    this.#target ??= this.#place;
    this.#failures = 0;
    this.#wish(false);
    this.#media.removeAttribute("src");
    this.#media.load();
  }

  /** @param {number} seconds from the begin */
  seek(seconds) {
    const { duration } = this.#media;
    // A hair before the end: at the end itself there is nothing to be heard, and some players go round.
    const at = Math.max(0, Number.isFinite(duration) ? Math.min(seconds, duration - 0.01) : seconds);
    if (this.#media.readyState === 0) this.#target = at;
    else this.#media.currentTime = at;
    this.dispatchEvent(new Event("change"));
  }

  set rate(rate) {
    this.#rate = rate;
    // The default rate holds for what is loaded later.
    this.#media.defaultPlaybackRate = rate;
    this.#media.playbackRate = rate;
  }

  get rate() {
    return this.#rate;
  }

  get wanted() {
    return this.#wanted;
  }

  /** Seconds from the begin, also before anything has come. */
  get position() {
    return this.#target ?? this.#media.currentTime;
  }

  /** @returns {"broken" | "waiting" | "playing" | "paused"} */
  get state() {
    if (this.#failures > 1) return "broken";
    if (this.#still !== null) return this.#still;
    return this.#wanted ? "playing" : "paused";
  }

  #start() {
    this.#media.play().catch((error) => {
      if (error.name === "NotAllowedError") this.#wish(false);
    });
  }

  #wish(wanted) {
    if (this.#wanted === wanted) return;
    this.#wanted = wanted;
    this.dispatchEvent(new Event("change"));
  }

  #again() {
    clearTimeout(this.#retry);
    this.#retry = null;
    this.#media.src = this.#url;
    this.#media.load();
    if (this.#wanted) this.#start();
  }

  #onMetadata() {
    if (this.#target !== null) this.#media.currentTime = this.#target;
    this.#target = null;
    this.#media.playbackRate = this.#rate;
    this.dispatchEvent(new Event("change"));
  }

  #onError() {
    if (this.#url === null || this.#retry !== null) return;
    this.#target ??= this.#place;
    this.#failures += 1;
    const backoff = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(10, this.#failures - 1));
    this.#retry = setTimeout(() => this.#again(), backoff * (0.75 + 0.5 * Math.random()));
    this.dispatchEvent(new Event("change"));
  }

  #stand() {
    if (this.#stillTimers.length > 0) return;
    this.#stillTimers = [["waiting", PATIENCE_MS], ["broken", TROUBLE_MS]].map(([why, after]) => {
      return setTimeout(() => {
        this.#still = why;
        this.dispatchEvent(new Event("change"));
      }, after);
    });
  }

  #go() {
    // "playing" is said too while there is nothing to play at the place that was sought.
    if (this.#wanted && this.#media.readyState > 0 && this.#media.readyState < 3) return;
    for (const timer of this.#stillTimers) clearTimeout(timer);
    this.#stillTimers = [];
    this.#still = null;
    this.dispatchEvent(new Event("change"));
  }
}
