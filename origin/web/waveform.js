// The picture of a replay that one can point into: its sound as bars, its chapters as a band below them, what has been
// played in the accent's colour.

import { chapterAt, covers, drawn, heights } from "./timeline.js";

const BAR = 2;
const PITCH = 3;
const BAND = 5;
const BAND_AWAY = 7;

/** A canvas of the size that it is shown at; null while it is not shown. */
export function prepared(canvas) {
  const scale = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (width === 0 || height === 0) return null;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

/** The page's colours; they change with the scheme. */
export function colours(element) {
  const style = getComputedStyle(element);
  const [played, ahead, ink] = ["--accent", "--edge", "--ink"].map((name) => style.getPropertyValue(name).trim());
  return { played, ahead, ink };
}

/** Calls `draw` whenever what is drawn on `canvas` would look different for reasons that lie outside. */
export function redrawn(canvas, draw) {
  new ResizeObserver(draw).observe(canvas);
  for (const query of ["(prefers-color-scheme: dark)", "(forced-colors: active)"]) {
    matchMedia(query).addEventListener("change", draw);
  }
}

export class Waveform {
  #canvas;
  #replay = null;
  #position = 0;
  #pointed = null;
  #bars = new Float32Array(0);

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
    redrawn(canvas, () => this.#draw());
  }

  /** @param {import("./replay_source.js").Replay} replay */
  show(replay) {
    this.#replay = replay;
    this.#bars = new Float32Array(0);
    this.#draw();
  }

  /** @param {number} position seconds @param {number | null} pointed where a mouse points */
  move(position, pointed) {
    if (position === this.#position && pointed === this.#pointed) return;
    this.#position = position;
    this.#pointed = pointed;
    this.#draw();
  }

  #draw() {
    const surface = this.#replay === null ? null : prepared(this.#canvas);
    if (surface === null) return;
    const { width, height } = surface;
    const colour = colours(this.#canvas);
    const banded = this.#replay.chapters.length > 0;
    const tall = banded ? height - BAND - BAND_AWAY : height;
    const x = (seconds) => Math.min(width, (seconds / this.#replay.seconds) * width);
    this.#drawBars(surface, tall, colour, x(this.#position));
    if (banded) this.#drawBand(surface, colour, x);
    surface.pen.fillStyle = colour.ink;
    if (this.#pointed !== null) {
      surface.pen.globalAlpha = 0.5;
      surface.pen.fillRect(x(this.#pointed) - 0.5, 0, 1, tall);
      surface.pen.globalAlpha = 1;
    }
    surface.pen.fillRect(Math.min(width - 2, Math.max(0, x(this.#position) - 1)), 0, 2, tall);
  }

  #drawBars({ pen, width }, tall, colour, until) {
    const { peaks, gaps, seconds } = this.#replay;
    const count = Math.max(1, Math.floor((width + PITCH - BAR) / PITCH));
    if (this.#bars.length !== count) {
      this.#bars = peaks === null ? new Float32Array(count) : heights(peaks.extremes, peaks.length, count);
    }
    const holes = drawn(gaps, seconds, count, 1);
    for (let bar = 0, dots = 0; bar < count; bar += 1) {
      const hole = covers(holes, bar + 0.5);
      dots = hole ? dots + 1 : 0;
      pen.fillStyle = bar * PITCH + BAR / 2 <= until ? colour.played : colour.ahead;
      if (hole) {
        // Every other dot: a hole does not look like silence.
        if (dots % 2 === 1) pen.fillRect(bar * PITCH, Math.round(tall / 2) - 1, BAR, BAR);
        continue;
      }
      const size = Math.max(2 * BAR, this.#bars[bar] * tall);
      pen.beginPath();
      pen.roundRect(bar * PITCH, (tall - size) / 2, BAR, size, BAR / 2);
      pen.fill();
    }
  }

  /** Chapters one after another, the one that lasts in the accent's colour. */
  #drawBand({ pen, width, height }, colour, x) {
    const { chapters, seconds } = this.#replay;
    const now = chapterAt(chapters, this.#position);
    const spans = chapters.map(({ at }, index) => [at, chapters[index + 1]?.at ?? seconds]);
    const piece = ([from, to]) => pen.fillRect(from, height - BAND, Math.max(1, to - from), BAND);
    pen.fillStyle = colour.ahead;
    // With hundreds of them there is no room for a space between any two.
    const space = width / chapters.length > 6 ? 2 : 0;
    for (const [from, to] of spans) piece([x(from), to < seconds ? x(to) - space : width]);
    if (now === -1) return;
    pen.fillStyle = colour.played;
    const [from, to] = spans[now];
    piece([x(from), Math.max(x(from) + 2, to < seconds ? x(to) - space : width)]);
  }
}

/** One speaker's line: a thin one where they were there, a thick one where they spoke. */
export function drawLane(canvas, { joined, spoke }, seconds, position) {
  const surface = prepared(canvas);
  if (surface === null) return;
  const { pen, width, height } = surface;
  const colour = colours(canvas);
  const until = (position / seconds) * width;
  pen.fillStyle = colour.ahead;
  for (const [from, to] of drawn(joined, seconds, width)) pen.fillRect(from, height / 2 - 0.5, to - from, 1);
  for (const [from, to] of drawn(spoke, seconds, width)) {
    pen.fillStyle = colour.played;
    pen.fillRect(from, 0, Math.max(0, Math.min(to, until) - from), height);
    pen.fillStyle = colour.ahead;
    pen.fillRect(Math.max(from, until), 0, Math.max(0, to - Math.max(from, until)), height);
  }
  pen.fillStyle = colour.ink;
  pen.fillRect(Math.min(width - 2, Math.max(0, until - 1)), 0, 2, height);
}
