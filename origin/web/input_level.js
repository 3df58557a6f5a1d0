// The level of a microphone, and what is wrong with it. Heard before the mute button, so that whoever speaks while
// muted can be told.

import { loudness } from "./meter.js";

const LOUD = 0.97;
const LOUD_FOR_MS = 3000;
// Not even the noise of a room (-84 dBFS): a switch, a cable or a wrong choice.
const NOTHING = 0.00006;
const SILENT_AFTER_MS = 4000;
// Speech, on the scale of `loudness`.
const SPEECH = 0.5;
const SPEECH_FRAMES = 12;

/** Judges peaks and levels over time (pure). */
export class LevelJudge {
  #loudUntil = -Infinity;
  #soundAt = null;
  #speech = 0;

  /** @param {number} peak 0…1 @param {number} level 0…1, of `loudness` @param {number} now milliseconds */
  push(peak, level, now) {
    this.#soundAt ??= now;
    if (peak > NOTHING) this.#soundAt = now;
    if (peak >= LOUD) this.#loudUntil = now + LOUD_FOR_MS;
    // Up one at a time, down the same way: a cough is no speech, a pause between words no end of it.
    this.#speech = Math.min(2 * SPEECH_FRAMES, Math.max(0, this.#speech + (level > SPEECH ? 2 : -1)));
  }

  /** @param {number} now @param {boolean} muted */
  judge(now, muted) {
    return {
      loud: now < this.#loudUntil,
      silent: this.#soundAt !== null && now - this.#soundAt > SILENT_AFTER_MS,
      unheard: muted && this.#speech >= SPEECH_FRAMES,
    };
  }
}

export class InputLevel {
  #context = null;
  #source = null;
  #analyser = null;
  #samples = null;
  #copy = null;

  /** @param {MediaStreamTrack | null} track */
  follow(track) {
    this.#source?.disconnect();
    this.#source = null;
    this.#copy?.stop();
    this.#copy = null;
    if (track === null || typeof AudioContext === "undefined") return;
    this.#context ??= new AudioContext({ latencyHint: "interactive" });
    this.#analyser ??= new AnalyserNode(this.#context, { fftSize: 2048 });
    this.#samples ??= new Float32Array(this.#analyser.fftSize);
    // A copy: muting the track that is sent does not mute it.
    this.#copy = track.clone();
    this.#copy.enabled = true;
    this.#source = this.#context.createMediaStreamSource(new MediaStream([this.#copy]));
    this.#source.connect(this.#analyser);
    this.wake();
  }

  /** Inside a gesture, for browsers that start no audio without one. */
  wake() {
    if (this.#context?.state === "suspended") this.#context.resume().catch(() => {});
  }

  /** {peak, level} of the last 43 ms, or null when there is no way to know. */
  read() {
    if (this.#source === null || this.#context.state !== "running") return null;
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let peak = 0;
    for (const x of this.#samples) peak = Math.max(peak, Math.abs(x));
    return { peak, level: loudness(this.#samples) };
  }
}
