// One room on one page: which take is on, what plays it, and what happens when any of that breaks.
//
// The session asks what there is to play (probe.js) only while nothing plays or something is wrong; while a take
// plays, the engine's own playlist requests tell all there is to know.

import { Lookout } from "./lookout.js";
import { Playhead } from "./playhead.js";
import { answerOf, probe } from "./probe.js";
import { seconds } from "./seconds.js";
import { stateOf } from "./words.js";

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
  #playhead;
  #lookout;
  #take = null;
  #facts = {
    room: "unknown",
    reachable: true,
    playable: true,
    refusal: null,
    wanted: false,
    finished: false,
    heard: false,
  };
  #closed = false;
  #pausedAt = null;
  #resting = false;
  #stuckProbes = 0;
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
    this.#playhead = new Playhead(media);
    this.#lookout = new Lookout(() => this.#look(), (answer) => this.#told(answer));
    this.#facts.playable = makeEngine !== null;
    media.addEventListener("playing", () => this.#onPlaying());
    media.addEventListener("pause", () => this.#onPause());
    media.addEventListener("play", () => this.#onPlay());
    document.addEventListener("visibilitychange", () => this.#lookout.soon(0));
    window.addEventListener("online", () => this.#lookout.soon(0));
  }

  start() {
    setInterval(() => this.#tick(), TICK_MS);
    this.#lookout.soon(0);
  }

  /** The listener presses play. Must run inside the gesture, for the browser's autoplay rule. */
  play() {
    this.#facts.wanted = true;
    if (this.#engine === null) this.#lookout.soon(0);
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
    this.#playhead.goLive();
    if (!this.#facts.wanted) this.play();
  }

  /** To so many seconds behind the live edge. */
  seekBehind(behind) {
    if (this.#engine === null) return;
    if (behind <= this.#playhead.near) {
      this.goLive();
      return;
    }
    this.#playhead.seekBehind(behind);
  }

  get state() {
    return stateOf({ ...this.#facts, ...this.#playhead.facts });
  }

  get wanted() {
    return this.#facts.wanted;
  }

  get take() {
    return this.#take;
  }

  /** Where in the take the listener is. */
  get playhead() {
    return this.#playhead;
  }

  /** Everything that a test or a curious listener may want to know. Only to be read. */
  get diagnostics() {
    const { room: found, ...facts } = this.#facts;
    return {
      room: this.#room,
      found,
      take: this.#take,
      state: this.state,
      ...facts,
      engine: this.#engine?.name ?? null,
      base: this.#place.base,
      tier: this.#place.tier,
      moves: this.#place.moves,
      private: this.#place.private,
      restarts: this.#restarts,
      bitRate: this.#engine?.bitRate ?? null,
      ...this.#playhead.diagnostics,
      troubles: [...this.#troubles],
    };
  }

  #tick() {
    const now = seconds();
    if (this.#facts.wanted) this.#playhead.tick(now);
    const { stalled, behind } = this.#playhead.facts;
    this.#restAfterAWhile(now);
    // While a take is on, where it is heard best and the token that opens it go with the time.
    if (this.#engine !== null && !this.#resting) this.#place.tend(now);
    // Not every browser says "ended" when a few milliseconds of the last part are missing.
    if (this.#closed && stalled > SPENT && behind < 1) this.#onFinished();
    if (stalled > SUSPICIOUS && this.#facts.wanted) this.#lookout.soon(1000);
    if (stalled === 0) this.#stuckProbes = 0;
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

  /** Who is not let in gets nothing to play, whatever the room is at. */
  async #look() {
    await this.#place.tend(seconds());
    this.#facts.refusal = this.#place.refusal;
    if (this.#facts.refusal !== null) return { kind: "absent" };
    if (this.#place.unheard) return { kind: "unreachable" };
    return answerOf(this.#room, this.#place.news, this.#facts.wanted)
      ?? await probe(this.#room, (path, options) => this.#place.get(path, options));
  }

  #told(answer) {
    this.#facts.reachable = answer.kind !== "unreachable";
    if (answer.kind !== "unreachable") this.#learn(answer);
    const content = this.#engine !== null && !this.#closed && this.#playhead.stalled < SUSPICIOUS;
    if (content) return;
    if (this.#facts.refusal !== null) {
      // What was let in is heard to its end. Then there is only to say why no more will come.
      if (!this.#closed) this.#drop();
      this.#lookout.soon(REFUSED_MS);
      return;
    }
    const idle = this.#facts.wanted && !document.hidden ? 1 : IDLE_FACTOR;
    this.#lookout.again(answer.kind, idle);
  }

  /** The server has said what the room is at. */
  #learn(answer) {
    this.#facts.room = answer.kind;
    const busy = this.#engine !== null && !this.#facts.finished;
    if (answer.kind === "live" && busy && answer.take === this.#take && this.#playhead.stalled > SUSPICIOUS) {
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
    this.#facts.finished = false;
    const engine = this.#makeEngine(this.#media, url);
    engine.addEventListener("lost", () => this.#onLost(engine));
    engine.addEventListener("closed", () => this.#onClosed());
    engine.addEventListener("finished", () => this.#onFinished());
    engine.addEventListener("trouble", ({ detail }) => this.#note(detail));
    engine.addEventListener("edge", () => { this.#facts.reachable = true; });
    this.#engine = engine;
    this.#playhead.begin(engine);
    this.#media.play().catch(() => {});
  }

  #drop() {
    if (this.#engine === null) return;
    this.#engine.destroy();
    this.#engine = null;
    this.#stuckProbes = 0;
    this.#playhead.end();
    this.#restarts += 1;
  }

  #onLost(engine) {
    if (engine !== this.#engine) return;
    this.#drop();
    this.#facts.room = "unknown";
    this.#lookout.lost();
  }

  #onClosed() {
    this.#closed = true;
    this.#facts.room = "ended";
    this.#place.doubt();
    this.#lookout.soon(1000);
  }

  #onFinished() {
    if (this.#facts.finished) return;
    this.#facts.finished = true;
    this.#lookout.soon(0);
  }

  #onPlaying() {
    this.#playhead.started = true;
    this.#facts.heard = true;
  }

  #onPlay() {
    this.#facts.wanted = true;
    this.#wake();
    this.#playhead.goOn();
  }

  #onPause() {
    // The element also pauses at the end of a take, and while an engine is exchanged; both are not wishes.
    if (this.#media.ended || this.#engine === null || !this.#playhead.started) return;
    this.#facts.wanted = false;
    this.#pausedAt = seconds();
  }

  #note(trouble) {
    this.#troubles = [...this.#troubles.slice(-19), { ...trouble, at: Math.round(performance.now()) }];
  }
}
