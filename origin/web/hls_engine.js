// hls.js under our conditions: it loads and appends, the page decides how fast to play and where.

import { LiveEdge } from "./edge.js";
import { rerouted } from "./rerouting.js";

// Ten retries a minute at most, for ever: a server that restarts is back within seconds, and a network that
// is down for an hour still comes back.
const FOR_EVER = {
  maxNumRetry: Infinity,
  retryDelayMs: 500,
  maxRetryDelayMs: 3000,
  backoff: "exponential",
};

/** A refused connection (status 0) and any 5xx pass; a 4xx means that what we ask for is not there. */
function passing(_config, _count, isTimeout, response) {
  const code = response?.code ?? 0;
  return isTimeout || code < 400 || code >= 500;
}

// A part that vanished because its segment became a gap is 404. Asking the refreshed playlist again shortly
// is right; asking for ever is not: after these tries the session starts over at the live edge.
const MISSING_TRIES = 4;
function passingOrMissing(config, count, isTimeout, response) {
  return passing(config, count, isTimeout, response) || count < MISSING_TRIES;
}

function patience(firstByteMs, shouldRetry) {
  const retry = { ...FOR_EVER, shouldRetry };
  return {
    default: { maxTimeToFirstByteMs: firstByteMs, maxLoadTimeMs: 20000, timeoutRetry: retry, errorRetry: retry },
  };
}

const CONFIG = {
  lowLatencyMode: true,
  // Fragments are fMP4 and only passed on: a worker would cost more than it saves, and a blob: script source.
  enableWorker: false,
  // rate.js does this. hls.js's own needs a second of buffer, and backs off by a second at each stall.
  maxLiveSyncPlaybackRate: 1,
  liveSyncOnStallIncrease: 0,
  // What was heard and can be scrubbed back to without loading again.
  backBufferLength: 90,
  maxBufferLength: 30,
  // Audio is 8 kB a second; the default of 60 MB would be two hours.
  maxBufferSize: 4 * 1000 * 1000,
  // Nothing here reads metadata cues, and their text track has a data: source, which the page's policy forbids.
  enableDateRangeMetadataCues: false,
  enableEmsgMetadataCues: false,
  enableID3MetadataCues: false,
  // Steps of the playhead over an obstacle never end the session.
  nudgeMaxRetry: 20,
  manifestLoadPolicy: patience(8000, passing),
  // The server holds a blocking request for at most 6 s.
  playlistLoadPolicy: patience(9000, passing),
  // A hinted part is held as long as a playlist is.
  fragLoadPolicy: patience(9000, passingOrMissing),
};

/**
 * One take played through hls.js. Events: "edge" (a playlist came), "lost" (start over), "finished" (the take
 * has been heard to its end), "closed" (the playlist says that the take is over).
 */
export class HlsEngine extends EventTarget {
  name = "hls.js";
  #hls;
  #media;
  #edge = new LiveEdge();
  #closed = false;
  #later;

  /** @param {string} path of the multivariant playlist @param {import("./place.js").Place} place where it is asked for */
  constructor(Hls, media, path, place) {
    super();
    this.#media = media;
    this.#hls = new Hls({ ...CONFIG, ...rerouted(Hls, place) });
    this.#hls.on(Hls.Events.LEVEL_UPDATED, (_event, { details }) => this.#onPlaylist(details));
    this.#hls.on(Hls.Events.ERROR, (_event, data) => this.#onError(data));
    this.#hls.on(Hls.Events.MEDIA_ENDED, () => this.dispatchEvent(new Event("finished")));
    this.#hls.loadSource(new URL(path, location.href).href);
    this.#hls.attachMedia(media);
  }

  destroy() {
    clearTimeout(this.#later);
    this.#hls.destroy();
  }

  /** Nobody listens for a while: ask the server for nothing. */
  rest() {
    this.#hls.stopLoad();
  }

  /** Go on from where the playhead is, or from the live edge where that has left the window. */
  wake() {
    this.#hls.startLoad(-1);
  }

  /** Seconds behind the live edge, or null when not known yet. */
  behind(now) {
    const edge = this.edgeAt(now);
    return edge === null ? null : Math.max(0, edge - this.#media.currentTime);
  }

  /** Media time of the live edge at `now`; of the end of the take once that is known. */
  edgeAt(now) {
    const details = this.#hls.latestLevelDetails;
    if (!details) return null;
    if (!details.live) return details.edge;
    const date = this.#edge.at(now);
    return date === null ? null : this.#mediaTime(details, date);
  }

  /** PART-TARGET in seconds; 0 for a playlist without parts. */
  get part() {
    return this.#hls.latestLevelDetails?.partTarget ?? 0;
  }

  /** The media time where the window begins. */
  get oldest() {
    return this.#hls.latestLevelDetails?.fragmentStart ?? 0;
  }

  /** The instant (milliseconds since 1970, by the room's clock) of what is heard now, or null. */
  get date() {
    const details = this.#hls.latestLevelDetails;
    const last = details?.fragments.at(-1);
    if (!last || !Number.isFinite(last.programDateTime)) return null;
    return last.programDateTime + (this.#media.currentTime - last.start) * 1000;
  }

  /** The date ranges of the playlist, in any order. */
  get ranges() {
    return Object.values(this.#hls.latestLevelDetails?.dateRanges ?? {});
  }

  get bitRate() {
    return this.#hls.levels[this.#hls.currentLevel]?.bitrate ?? null;
  }

  #onPlaylist(details) {
    if (details.live && details.advanced) {
      this.#edge.observe(this.#seconds(details, details.edge), performance.now() / 1000);
    }
    this.dispatchEvent(new Event("edge"));
    if (!details.live && !this.#closed) this.#close();
  }

  #close() {
    this.#closed = true;
    // hls.js 1.7 takes the last segment for loaded when it has some of its parts, and never fetches the rest
    // of a take that ends in between. Stopped and started, it looks again.
    this.#later = setTimeout(() => {
      this.#hls.stopLoad();
      this.#hls.startLoad(-1);
    });
    this.dispatchEvent(new Event("closed"));
  }

  #onError(data) {
    this.dispatchEvent(new CustomEvent("trouble", { detail: { what: data.details, fatal: data.fatal } }));
    if (data.fatal) this.dispatchEvent(new Event("lost"));
  }

  // hls.js moves its media times a little as it learns the real ones, so the edge is kept in the room's own
  // time (PROGRAM-DATE-TIME) and only turned into media time when it is asked for.
  #seconds(details, mediaTime) {
    const last = details.fragments.at(-1);
    return last?.programDateTime ? last.programDateTime / 1000 + mediaTime - last.start : mediaTime;
  }

  #mediaTime(details, seconds) {
    return seconds - this.#seconds(details, 0);
  }
}
