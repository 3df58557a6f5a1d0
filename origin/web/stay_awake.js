// While somebody is on air: the screen stays on, the system's own microphone button works, a closed tab asks first.

let lock = null;
let wanted = false;

async function hold() {
  if (!wanted || document.hidden || !("wakeLock" in navigator)) return;
  try {
    lock = await navigator.wakeLock.request("screen");
    if (!wanted) release();
  } catch {
    // a battery that runs low comes first
  }
}

function release() {
  lock?.release().catch(() => {});
  lock = null;
}

// The lock ends whenever the page is hidden.
document.addEventListener("visibilitychange", hold);
window.addEventListener("beforeunload", (event) => { if (wanted) event.preventDefault(); });

/** @param {boolean} on */
export function stayAwake(on) {
  if (on === wanted) return;
  wanted = on;
  if (on) hold();
  else release();
}

/**
 * The buttons of headsets, keyboards and call bars.
 *
 * @param {{mute: () => void, leave: () => void}} commands
 */
export function bindCallButtons({ mute, leave }) {
  const session = navigator.mediaSession;
  for (const [action, command] of [["togglemicrophone", mute], ["hangup", leave]]) {
    try {
      session?.setActionHandler(action, command);
    } catch {
      // not every browser knows these
    }
  }
}

/** @param {{title: string, muted: boolean, onAir: boolean}} now */
export function tellCallButtons({ title, muted, onAir }) {
  const session = navigator.mediaSession;
  if (!session || typeof MediaMetadata === "undefined") return;
  if (session.metadata?.title !== title) session.metadata = new MediaMetadata({ title, artist: "Longwave" });
  session.playbackState = onAir ? "playing" : "none";
  session.setMicrophoneActive?.(onAir && !muted)?.catch?.(() => {});
}
