// The level of what is heard, as a small moving picture: the last seconds scroll by like ink on a paper strip.
// With prefers-reduced-motion it is one bar that changes a few times a second and does not travel.

const BAR = 3;
const SPACE = 3;
const STEP_MS = 60;
const CALM_STEP_MS = 300;
// Speech sits between these.
const QUIET_DB = -54;
const LOUD_DB = -6;

/**
 * On Apple's phones and tablets an audio context stops when the screen is locked, and with it would stop a room
 * that is led through it. There the sound is worth more than its picture.
 */
function contextStopsWhenLocked() {
  return /^(iP|Mac)/.test(navigator.platform) && navigator.maxTouchPoints > 1;
}

/** RMS of samples in −1…1 as 0…1 on a scale of decibels. */
export function loudness(samples) {
  let sum = 0;
  for (const x of samples) sum += x * x;
  const db = 10 * Math.log10(sum / Math.max(1, samples.length) + 1e-12);
  return Math.min(1, Math.max(0, (db - QUIET_DB) / (LOUD_DB - QUIET_DB)));
}

/**
 * Listens to a media element through Web Audio. The element is led through the audio context only once that
 * is running: a suspended context would swallow the sound.
 */
export class Listening {
  #media;
  #context = null;
  #analyser = null;
  #samples = null;

  constructor(media) {
    this.#media = media;
    document.addEventListener("visibilitychange", () => this.wake());
  }

  /** Call when playback begins, best inside the listener's gesture. */
  wake() {
    if (typeof AudioContext === "undefined" || contextStopsWhenLocked()) return;
    if (this.#context === null) {
      if (document.hidden || this.#media.paused) return;
      this.#context = new AudioContext({ latencyHint: "interactive" });
      this.#context.addEventListener("statechange", () => this.#connect());
    }
    if (this.#context.state === "running") this.#connect();
    else this.#context.resume().catch(() => {});
  }

  /** 0…1, or null when there is no way to know. */
  level() {
    if (this.#analyser === null) return null;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    return loudness(this.#samples);
  }

  #connect() {
    if (this.#analyser !== null || this.#context.state !== "running") return;
    this.#analyser = new AnalyserNode(this.#context, { fftSize: 2048 });
    this.#samples = new Float32Array(this.#analyser.fftSize);
    const source = this.#context.createMediaElementSource(this.#media);
    source.connect(this.#analyser);
    source.connect(this.#context.destination);
  }
}

/** Draws levels on a canvas. Call `run(true)` while there is sound. */
export class Meter {
  #canvas;
  #level;
  #history = [];
  #running = false;
  #last = 0;
  // The loudest since the last step.
  #peak = 0;
  #calm = matchMedia("(prefers-reduced-motion: reduce)");

  /** @param {HTMLCanvasElement} canvas @param {() => number | null} level */
  constructor(canvas, level) {
    this.#canvas = canvas;
    this.#level = level;
    new ResizeObserver(() => this.#draw(0)).observe(canvas);
    for (const query of [this.#calm, matchMedia("(prefers-color-scheme: dark)")]) {
      query.addEventListener("change", () => this.#draw(0));
    }
  }

  run(on) {
    if (on === this.#running) return;
    this.#running = on;
    if (on) requestAnimationFrame((now) => this.#frame(now));
    else this.#draw(0);
  }

  #frame(now) {
    if (!this.#running) return;
    const step = this.#calm.matches ? CALM_STEP_MS : STEP_MS;
    this.#peak = Math.max(this.#peak, this.#level() ?? 0);
    if (now - this.#last >= step) {
      // After a pause of the page there is nothing to draw for the time in between.
      this.#last = now - this.#last > 4 * step ? now : this.#last + step;
      this.#history = [this.#peak, ...this.#history].slice(0, 1024);
      this.#peak = 0;
    }
    this.#draw(this.#calm.matches ? 0 : Math.min(1, (now - this.#last) / step));
    requestAnimationFrame((next) => this.#frame(next));
  }

  #draw(progress) {
    const scale = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    if (width === 0) return;
    if (this.#canvas.width !== Math.round(width * scale)) this.#canvas.width = Math.round(width * scale);
    if (this.#canvas.height !== Math.round(height * scale)) this.#canvas.height = Math.round(height * scale);
    const pen = this.#canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = getComputedStyle(this.#canvas).color;
    if (this.#running && this.#level() === null) drawWave(pen, width, height);
    else if (this.#calm.matches) drawBar(pen, width, height, this.#history[0] ?? 0);
    else drawStrip(pen, width, height, this.#history, progress);
  }
}

/** The newest level on the right; old ones fade away to the left. */
function drawStrip(pen, width, height, history, progress) {
  const pitch = BAR + SPACE;
  const count = Math.ceil(width / pitch) + 1;
  for (let i = 0; i < count; i += 1) {
    const x = width - (i + progress) * pitch;
    // The square sets syllables off from what lies between them.
    const tall = Math.max(BAR, (history[i] ?? 0) ** 2 * height);
    pen.globalAlpha = 0.25 + 0.75 * Math.max(0, x / width) ** 1.5;
    pen.beginPath();
    pen.roundRect(x, (height - tall) / 2, BAR, tall, BAR / 2);
    pen.fill();
  }
  pen.globalAlpha = 1;
}

/** Sound whose level cannot be known: a still, long wave. */
function drawWave(pen, width, height) {
  const pitch = BAR + SPACE;
  for (let x = 0; x < width; x += pitch) {
    const tall = BAR + 0.3 * height * (1 + Math.sin((x / width) * 6 * Math.PI));
    pen.beginPath();
    pen.roundRect(x, (height - tall) / 2, BAR, tall, BAR / 2);
    pen.fill();
  }
}

function drawBar(pen, width, height, level) {
  const tall = 10;
  pen.globalAlpha = 0.25;
  pen.beginPath();
  pen.roundRect(0, (height - tall) / 2, width, tall, tall / 2);
  pen.fill();
  pen.globalAlpha = 1;
  pen.beginPath();
  pen.roundRect(0, (height - tall) / 2, Math.max(tall, level * width), tall, tall / 2);
  pen.fill();
}
