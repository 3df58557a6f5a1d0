// What a phone's lock screen, a headset and a keyboard's media keys know of a replay and can do with it.

/**
 * @param {{title: string, artist: string, album: string}} words
 * @param {object} does
 * @param {() => void} does.play @param {() => void} does.pause
 * @param {(seconds: number) => void} does.skip forward, or back where it is negative
 * @param {(at: number) => void} does.seek
 * @param {(chapters: number) => void} does.step to the next chapter or (-1) the one before
 */
export function bindHeadset(words, { play, pause, skip, seek, step }) {
  if (!("mediaSession" in navigator)) return;
  const artwork = [{ src: "/assets/icon.svg", sizes: "any", type: "image/svg+xml" }];
  navigator.mediaSession.metadata = new MediaMetadata({ ...words, artwork });
  const actions = {
    play,
    pause,
    stop: pause,
    seekbackward: ({ seekOffset }) => skip(-(seekOffset ?? 15)),
    seekforward: ({ seekOffset }) => skip(seekOffset ?? 15),
    seekto: ({ seekTime }) => seek(seekTime),
    previoustrack: () => step(-1),
    nexttrack: () => step(1),
  };
  for (const [action, handler] of Object.entries(actions)) {
    try {
      navigator.mediaSession.setActionHandler(action, handler);
    } catch {
      // an older browser, which does not know this one
    }
  }
}

/** @param {{playing: boolean, position: number, duration: number, rate: number}} now */
export function tellHeadset({ playing, position, duration, rate }) {
  if (!("mediaSession" in navigator)) return;
  navigator.mediaSession.playbackState = playing ? "playing" : "paused";
  if (!(duration > 0)) return;
  navigator.mediaSession.setPositionState?.({
    duration, playbackRate: rate, position: Math.min(duration, Math.max(0, position)),
  });
}
