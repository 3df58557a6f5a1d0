// The browser's own HLS: Safari without Media Source Extensions, or a page served without hls.js. It keeps
// the distance from the edge that it likes, so there is little to say about it.
//
// Nor can its requests be sent elsewhere while it plays: what a playlist names is resolved against the address that
// the element was given, and another one is another beginning, with silence before it. So it listens on where it
// began, under the token that it began with, and goes where the room is heard by then when the session starts it
// again: for the next take, or when what it has does not answer any more (as after the token's last minute). An
// edge stays good for a room that has grown beyond it, and a Safari that has Media Source Extensions (all of them,
// but for iPhones before iOS 17.1) comes by hls.js.

/** One take played by the media element itself. The same shape as HlsEngine. */
export class NativeEngine extends EventTarget {
  name = "native";
  part = 0;
  // Safari gives date ranges as text track cues, one for each attribute, that begin with the sound they are
  // about but do not say which of them belong together.
  ranges = [];
  bitRate = null;
  #media;
  #stop = new AbortController();

  constructor(media, url) {
    super();
    this.#media = media;
    const on = (type, say) =>
      media.addEventListener(type, () => this.dispatchEvent(new Event(say)), { signal: this.#stop.signal });
    on("progress", "edge");
    on("ended", "finished");
    on("error", "lost");
    media.src = url;
  }

  destroy() {
    this.#stop.abort();
    this.#media.removeAttribute("src");
    this.#media.load();
  }

  /** The browser decides what it loads while it is paused. */
  rest() {}

  wake() {}

  behind() {
    const edge = this.edgeAt();
    return edge === null ? null : Math.max(0, edge - this.#media.currentTime);
  }

  edgeAt() {
    const { seekable } = this.#media;
    return seekable.length > 0 ? seekable.end(seekable.length - 1) : null;
  }

  get oldest() {
    const { seekable } = this.#media;
    return seekable.length > 0 ? seekable.start(0) : 0;
  }

  get date() {
    const start = this.#media.getStartDate?.().getTime();
    return Number.isFinite(start) ? start + this.#media.currentTime * 1000 : null;
  }
}
