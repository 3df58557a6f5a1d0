// One room on one page: which take is on, what plays it, and what happens when any of that breaks.
//
// The session asks the server (probe.js) only while nothing plays or something is wrong; while a take plays,
// the engine's own playlist requests tell all there is to know.

import { Follower, bufferAhead } from "./follower.js";
import { NOTHING, happeningAt } from "./happening.js";
import { pause, probe } from "./probe.js";
import { liveWithin, stateOf } from "./words.js";

const TICK_MS = 100;
// Nobody listens: the page asks this many times less often whether the room is live.
const IDLE_FACTOR = 3;
// Paused this long, the page stops loading: a forgotten tab shall not hold a request open for ever.
const REST_AFTER = 30;
// Who was not let in may be, once the room is public or the invitation's time has come.
const REFUSED_MS = 30_000;
// Standing still this long is not a hiccup any more: look at the server from outside the engine.
const SUSPICIOUS = 2.5;
// Standing still this long within the last second of a take that is over: it has been heard.
const SPENT = 1.5;
// The room has been found live so many times while the playhead stood still: the engine is lost. Start over.
const STUCK_PROBES = 3;

/** Events: "change" (ten times a second: read the properties again). */
export class Session extends EventTarget {
  #room;
  #media;
  #makeEngine;
  #place;
  #engine = null;
  #follower;
  #take = null;
  #facts = {
    room: "unknown",
    reachable: true,
    playable: true,
    refusal: null,
    wanted: false,
    started: false,
    finished: false,
    heard: false,
    stalled: 0,
    behind: 0,
    near: liveWithin(0),
  };
  #closed = false;
  #pausedAt = null;
  #resting = false;
  #failures = 0;
  #stuckProbes = 0;
  #probeTimer = null;
  #probing = false;
  #troubles = [];
  #restarts = 0;

  /**
   * @param {string} room
   * @param {HTMLMediaElement} media
   * @param {((media: HTMLMediaElement, url: string) => EventTarget) | null} makeEngine null: nothing can play
   * @param {import("./place.js").Place} place where the room is asked for
   */
  constructor(room, media, makeEngine, place) {
    super();
    this.#room = room;
    this.#media = media;
    this.#makeEngine = makeEngine;
    this.#place = place;
    this.#follower = new Follower(media);
    this.#facts.playable = makeEngine !== null;
    media.addEventListener("playing", () => this.#onPlaying());
    media.addEventListener("pause", () => this.#onPause());
    media.addEventListener("play", () => this.#onPlay());
    document.addEventListener("visibilitychange", () => this.#soon(0));
    window.addEventListener("online", () => this.#soon(0));
  }

  start() {
    setInterval(() => this.#tick(), TICK_MS);
    this.#soon(0);
  }

  /** The listener presses play. Must run inside the gesture, for the browser's autoplay rule. */
  play() {
    this.#facts.wanted = true;
    if (this.#engine === null) this.#soon(0);
    // Without a source yet, the promise stays open until the engine has attached one.
    this.#media.play().catch((error) => {
      if (error.name === "NotAllowedError") this.#facts.wanted = false;
    });
  }

  pause() {
    this.#facts.wanted = false;
    this.#media.pause();
  }

  goLive() {
    if (this.#engine === null) return;
    this.#follower.goLive(this.#engine, seconds());
    if (!this.#facts.wanted) this.play();
  }

  /** To so many seconds behind the live edge. */
  seekBehind(behind) {
    if (this.#engine === null) return;
    if (behind <= this.near) {
      this.goLive();
      return;
    }
    const edge = this.#engine.edgeAt(seconds());
    if (edge === null) return;
    this.#follower.following = false;
    // A second inside the window, which moves on while the seek is under way.
    this.#media.currentTime = Math.max(this.#engine.oldest + 1, edge - behind);
  }

  get state() {
    return stateOf(this.#facts);
  }

  get wanted() {
    return this.#facts.wanted;
  }

  get take() {
    return this.#take;
  }

  /** Seconds behind live of what is heard; null while nothing is. */
  get behind() {
    return this.#facts.started ? (this.#engine?.behind(seconds()) ?? null) : null;
  }

  /** How far behind live still is live, in seconds. */
  get near() {
    return liveWithin(this.#follower.target(this.#engine?.part ?? 0));
  }

  /** How far one can scrub back, in seconds. */
  get window() {
    const edge = this.#engine?.edgeAt(seconds()) ?? null;
    return edge === null ? 0 : Math.max(0, edge - this.#engine.oldest);
  }

  /** The instant, by the room's clock, of what is heard now; milliseconds since 1970 or null. */
  get date() {
    return this.#facts.started ? (this.#engine?.date ?? null) : null;
  }

  /** Who speaks and in which chapter, in what is heard now. */
  get happening() {
    const { date } = this;
    return date === null ? NOTHING : happeningAt(this.#engine.ranges, date);
  }

  /** Everything that a test or a curious listener may want to know. Only to be read. */
  get diagnostics() {
    const part = this.#engine?.part ?? 0;
    const { room: found, ...facts } = this.#facts;
    return {
      room: this.#room,
      found,
      take: this.#take,
      state: this.state,
      ...facts,
      behind: this.behind,
      engine: this.#engine?.name ?? null,
      base: this.#place.base,
      tier: this.#place.tier,
      moves: this.#place.moves,
      private: this.#place.private,
      part,
      target: this.#follower.target(part),
      margin: this.#follower.margin,
      rate: this.#media.playbackRate,
      following: this.#follower.following,
      stalls: this.#follower.stalls,
      restarts: this.#restarts,
      position: this.#media.currentTime,
      date: this.date,
      bitRate: this.#engine?.bitRate ?? null,
      ...this.happening,
      ...bufferAhead(this.#media),
      troubles: [...this.#troubles],
    };
  }

  #tick() {
    const now = seconds();
    if (this.#engine !== null && this.#facts.wanted) this.#follower.tick(this.#engine, now);
    const still = this.#follower.stillSince;
    this.#facts.stalled = still === null ? 0 : now - still;
    this.#facts.behind = this.behind ?? 0;
    this.#facts.near = this.near;
    this.#restAfterAWhile(now);
    // While a take is on, where it is heard best and the token that opens it go with the time.
    if (this.#engine !== null && !this.#resting) this.#place.tend(now);
    // Not every browser says "ended" when a few milliseconds of the last part are missing.
    if (this.#closed && this.#facts.stalled > SPENT && this.#facts.behind < 1) this.#onFinished();
    if (this.#facts.stalled > SUSPICIOUS && this.#facts.wanted) this.#soon(1000);
    if (this.#facts.stalled === 0) this.#stuckProbes = 0;
    this.dispatchEvent(new Event("change"));
  }

  #restAfterAWhile(now) {
    if (this.#engine === null || this.#pausedAt === null || this.#resting) return;
    if (now - this.#pausedAt < REST_AFTER) return;
    this.#resting = true;
    this.#engine.rest();
  }

  async #wake() {
    this.#pausedAt = null;
    if (!this.#resting) return;
    this.#resting = false;
    const engine = this.#engine;
    // A token may have run out meanwhile.
    await this.#place.tend(seconds());
    if (engine === this.#engine) engine?.wake();
  }

  /** Ask the server in `delay` milliseconds, unless it is about to be asked anyway. */
  #soon(delay) {
    if (this.#probing || (this.#probeTimer !== null && delay > 0)) return;
    clearTimeout(this.#probeTimer);
    this.#probeTimer = setTimeout(() => this.#ask(), delay);
  }

  async #ask() {
    this.#probeTimer = null;
    this.#probing = true;
    await this.#place.tend(seconds());
    this.#facts.refusal = this.#place.refusal;
    const answer = await this.#look();
    this.#probing = false;
    this.#failures = answer.kind === "unreachable" ? this.#failures + 1 : 0;
    this.#facts.reachable = answer.kind !== "unreachable";
    if (answer.kind !== "unreachable") this.#learn(answer);
    const content = this.#engine !== null && !this.#closed && this.#facts.stalled < SUSPICIOUS;
    if (content) return;
    if (this.#facts.refusal !== null) {
      // What was let in is heard to its end. Then there is only to say why no more will come.
      if (!this.#closed) this.#drop();
      this.#soon(REFUSED_MS);
      return;
    }
    const idle = this.#facts.wanted && !document.hidden ? 1 : IDLE_FACTOR;
    this.#soon(idle * pause(answer.kind, this.#failures, Math.random()));
  }

  /** Who is not let in gets nothing to play, whatever the room is at. */
  async #look() {
    if (this.#facts.refusal !== null) return { kind: "absent" };
    if (this.#place.unheard) return { kind: "unreachable" };
    return await probe(this.#room, (path, options) => this.#place.get(path, options));
  }

  /** The server has said what the room is at. */
  #learn(answer) {
    this.#facts.room = answer.kind;
    const busy = this.#engine !== null && !this.#facts.finished;
    if (answer.kind === "live" && busy && answer.take === this.#take && this.#facts.stalled > SUSPICIOUS) {
      this.#stuckProbes += 1;
    }
    if (this.#stuckProbes >= STUCK_PROBES) this.#drop();
    const idle = this.#engine === null || this.#facts.finished;
    const news = this.#engine === null || answer.take !== this.#take;
    if (answer.kind === "live" && this.#facts.wanted && idle && news) this.#begin(answer);
    if (answer.kind === "absent" && this.#engine !== null && this.#facts.finished) this.#drop();
  }

  #begin({ take, url }) {
    this.#drop();
    if (this.#makeEngine === null) return;
    this.#take = take;
    this.#closed = false;
    this.#pausedAt = null;
    this.#resting = false;
    Object.assign(this.#facts, { started: false, finished: false, stalled: 0 });
    this.#follower.restart();
    const engine = this.#makeEngine(this.#media, url);
    engine.addEventListener("lost", () => this.#onLost(engine));
    engine.addEventListener("closed", () => this.#onClosed());
    engine.addEventListener("finished", () => this.#onFinished());
    engine.addEventListener("trouble", ({ detail }) => this.#note(detail));
    engine.addEventListener("edge", () => { this.#facts.reachable = true; });
    this.#engine = engine;
    this.#media.play().catch(() => {});
  }

  #drop() {
    if (this.#engine === null) return;
    this.#engine.destroy();
    this.#engine = null;
    this.#stuckProbes = 0;
    this.#restarts += 1;
    Object.assign(this.#facts, { started: false, stalled: 0 });
  }

  #onLost(engine) {
    if (engine !== this.#engine) return;
    this.#drop();
    this.#facts.room = "unknown";
    this.#failures += 1;
    this.#soon(pause("unreachable", this.#failures, Math.random()));
  }

  #onClosed() {
    this.#closed = true;
    this.#facts.room = "ended";
    this.#soon(1000);
  }

  #onFinished() {
    if (this.#facts.finished) return;
    this.#facts.finished = true;
    this.#soon(0);
  }

  #onPlaying() {
    Object.assign(this.#facts, { started: true, heard: true });
  }

  #onPlay() {
    this.#facts.wanted = true;
    this.#wake();
    if (this.#facts.started && (this.behind ?? 0) > this.near) this.#follower.following = false;
  }

  #onPause() {
    // The element also pauses at the end of a take, and while an engine is exchanged; both are not wishes.
    if (this.#media.ended || this.#engine === null || !this.#facts.started) return;
    this.#facts.wanted = false;
    this.#pausedAt = seconds();
  }

  #note(trouble) {
    this.#troubles = [...this.#troubles.slice(-19), { ...trouble, at: Math.round(performance.now()) }];
  }
}

function seconds() {
  return performance.now() / 1000;
}
