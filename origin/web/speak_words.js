// What the speaker's page says. `stateOf` decides from plain facts; WORDS is what people read.

export const WORDS = Object.freeze({
  connecting: ["Connecting", ""],
  insecure: ["A secure address is needed",
    "Browsers give a microphone only to addresses that begin with https:// (or to localhost). "
    + "Ask whoever runs this server for its https address."],
  unsupported: ["This browser cannot speak here", "It lacks WebRTC. A current Firefox, Chrome, Edge or Safari has it."],
  unauthorized: ["An invitation is needed",
    "Everybody may listen; to speak in this room one needs a link from its host. Ask its host for one."],
  expired: ["The invitation has run out", "Ask the host for a new link."],
  forbidden: ["This invitation is not for speaking here", "Ask the host for a link to this room."],
  rejected: ["The server does not take this connection", "Trying the same again will not help."],
  off: ["Off air", "Nobody hears you. Let the page use the microphone to see whether it works."],
  asking: ["Waiting for your permission", "The browser asks whether this page may use the microphone."],
  denied: ["The microphone is not allowed",
    "Allow it for this page: by the symbol beside the address, or in the settings of the browser or the system."],
  none: ["No microphone was found", "Plug one in; the page takes it by itself."],
  busy: ["The microphone cannot be opened", "Perhaps another program uses it. Close that one, or choose another microphone."],
  left: ["Off air", "You have left the room, and the microphone is off."],
  ready: ["Off air", "The microphone works. Nobody hears you yet."],
  joining: ["Going on air", ""],
  onair: ["On air", "The room hears you."],
  muted: ["On air, muted", "Nobody hears you until you unmute yourself."],
  silenced: ["Muted by the host", "Nobody hears you until the host lets you speak again."],
  interrupted: ["The microphone is taken", "The system gives it to something else, such as a call. It comes back by itself."],
  unplugged: ["On air without a microphone", "Plug one in, or choose another one: you are heard again at once."],
  returning: ["Back in a moment", "The way to the server is broken. You go on air again by itself."],
  full: ["The room has no place at the moment", "You go on air as soon as there is one."],
  removed: ["The host has removed you", "You cannot come back as long as this goes on."],
  ended: ["The room has ended", "Whoever goes on air now begins a new recording."],
  replaced: ["You speak from another window", "Somebody with your name has gone on air elsewhere, and took over."],
});

/**
 * @typedef {object} Facts
 * @property {boolean} secure whether the browser trusts the address enough for a microphone
 * @property {boolean} capable whether it has WebRTC
 * @property {"closed"|"asking"|"open"|"denied"|"none"|"busy"} microphone
 * @property {boolean} interrupted whether the system holds back the microphone's sound
 * @property {"unknown"|"known"|"unauthorized"|"forbidden"} room what the server said last
 * @property {boolean} expired whether the token says that its time is over
 * @property {boolean} wanted whether the speaker wants to be on air
 * @property {boolean} connected
 * @property {boolean} wasOnAir since it is wanted
 * @property {boolean} full whether the server has no place
 * @property {null|"unauthorized"|"forbidden"|"rejected"|"removed"|"ended"|"replaced"} stopped why it gave up
 * @property {boolean} muted by the speaker
 * @property {boolean} silenced by the host
 */

/** @param {Facts} facts @returns {keyof typeof WORDS} */
export function stateOf(facts) {
  if (!facts.secure) return "insecure";
  if (!facts.capable) return "unsupported";
  if (facts.connected) return onAir(facts);
  if (facts.wanted) {
    if (facts.full) return "full";
    return facts.wasOnAir ? "returning" : "joining";
  }
  const refused = facts.stopped ?? (["unauthorized", "forbidden"].includes(facts.room) ? facts.room : null);
  if (refused !== null) return facts.expired && refused !== "ended" ? "expired" : refused;
  const closed = facts.wasOnAir ? "left" : "off";
  return { closed, open: facts.interrupted ? "interrupted" : "ready" }[facts.microphone] ?? facts.microphone;
}

function onAir(facts) {
  if (facts.silenced) return "silenced";
  if (facts.muted) return "muted";
  if (["denied", "none", "busy"].includes(facts.microphone)) return "unplugged";
  return facts.interrupted ? "interrupted" : "onair";
}

/** What the one big button does in a state; null: there is none. @returns {[string, "go"|"open"] | null} */
export function actionOf(state) {
  if (state === "off" || state === "denied" || state === "busy" || state === "none") return ["Use the microphone", "open"];
  if (state === "ready") return ["Go on air", "go"];
  if (state === "left" || state === "ended") return ["Go on air again", "go"];
  return { replaced: ["Speak from here", "go"], rejected: ["Try again", "go"] }[state] ?? null;
}

// The page's own words say as much as the server's would.
const SAID = new Set(["removed", "expired", "unauthorized"]);

/**
 * What went wrong, as a sentence: the server's words begin small, the page's own are one already.
 *
 * @param {keyof typeof WORDS} state @param {string} message "" where it said nothing
 */
export function complaint(state, message) {
  if (message === "" || SAID.has(state)) return "";
  return /^\p{Lu}/u.test(message) ? message : `The server says: ${message}.`;
}

export function listening(count) {
  if (count === null) return "";
  if (count === 0) return "Nobody is listening yet";
  return count === 1 ? "1 person is listening" : `${count} people are listening`;
}

/** What the level wants to tell; "" when all is well. */
export function advice({ silent, loud, unheard }) {
  if (unheard) return "You are speaking, but you are muted.";
  if (loud) return "Too loud: move away from the microphone or turn it down.";
  if (silent) return "Nothing comes from this microphone. Is it switched on?";
  return "";
}
