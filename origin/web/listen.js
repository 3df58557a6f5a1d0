// The player page: binds a Session to what people see, hear and press.

import { Announcer } from "./announcer.js";
import { listed } from "./happening.js";
import { HlsEngine } from "./hls_engine.js";
import { maySpeak } from "./may_speak.js";
import { remember, remembered } from "./memory.js";
import { Listening, Meter } from "./meter.js";
import { NativeEngine } from "./native_engine.js";
import { Place } from "./place.js";
import { ReplayLink } from "./replay_link.js";
import { findRoom } from "./rooms.js";
import { Session } from "./session.js";
import { server } from "./server.js";
import { NEEDS_INVITATION, offerLink } from "./share.js";
import { takeToken } from "./token.js";
import { MAY_BE_PRIVATE, WORDS, clock, spell, takeStart } from "./words.js";

const $ = (id) => document.getElementById(id);
const room = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const media = $("audio");
// Both leave the address bar before anything else happens.
const [token, listen] = [takeToken(room, window), takeToken(room, window, "listen")];
const get = (...request) => fetch(...request);
const place = new Place(room, { token, listen }, location.origin, get, server());
// Under way while hls.js is still being loaded.
place.tend();

/** hls.js first: Chromium can play HLS by itself too, but seven seconds late. */
async function chooseEngine() {
  const Hls = await import("/assets/hls.mjs").then((module) => module.default, () => null);
  if (Hls?.isSupported()) return (element, path) => new HlsEngine(Hls, element, path, place);
  if (!media.canPlayType("application/vnd.apple.mpegurl")) return null;
  return (element, path) => new NativeEngine(element, place.address(path));
}

/** Whether the page may make sound before anybody has touched it. */
function mayPlay() {
  return new Promise((resolve) => {
    media.play().catch((error) => resolve(error.name !== "NotAllowedError"));
    // An element without a source leaves the promise open when playing is allowed.
    setTimeout(() => resolve(true), 50);
  });
}

const session = new Session(room, media, await chooseEngine(), place);
const listening = new Listening(media);
const announcer = new Announcer();
const replay = new ReplayLink(room, $("replay"), place);
const meter = new Meter($("meter"), () => listening.level());
// For tests and for the curious: a snapshot of what the player knows. Nothing here can be changed.
Object.defineProperty(window, "longwave", { get: () => Object.freeze(session.diagnostics) });

/** Write only what has changed, so that a screen reader hears each thing once. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show() {
  const state = session.state;
  const [word, hint] = WORDS[state];
  document.body.dataset.state = state;
  say($("state"), word);
  say($("hint"), state === "waiting" && place.found === false ? MAY_BE_PRIVATE : hint);
  showPlay();
  showTimes(state);
  showHappening();
  replay.show(state === "ended" || state === "waiting", state === "ended" ? session.take : null);
  meter.run((state === "live" || state === "behind") && !document.hidden);
  if (!$("debug").hidden) showDebug();
}

function showPlay() {
  const label = session.wanted ? "Pause" : "Play";
  if ($("play").getAttribute("aria-label") === label) return;
  $("play").setAttribute("aria-label", label);
  $("play").dataset.icon = label.toLowerCase();
  if ("mediaSession" in navigator) navigator.mediaSession.playbackState = session.wanted ? "playing" : "paused";
}

function showTimes(state) {
  const { playhead, take } = session;
  const { behind, date } = playhead;
  const start = takeStart(take);
  const known = behind !== null && date !== null && start !== null && state !== "ended";
  $("times").classList.toggle("empty", !known);
  $("live").hidden = !known || behind <= playhead.near;
  $("timeline").disabled = !known;
  if (!known) return;
  say($("elapsed"), clock((date - start) / 1000));
  // One figure a second: a number that flickers tells nobody anything.
  const second = Math.floor(performance.now() / 1000);
  if ($("behind").dataset.at !== String(second)) {
    $("behind").dataset.at = String(second);
    say($("behind"), `${spell(behind)} behind live`);
  }
  showTimeline(behind);
}

/** What is heard is shown at once, and told to a screen reader now and then. */
function showHappening() {
  const { happening } = session.playhead;
  const names = listed(happening.speakers);
  // The last names stay in their place, unseen, so that nothing jumps.
  $("voices").parentElement.classList.toggle("empty", names === "");
  if (names !== "") say($("voices"), names);
  say($("chapter"), happening.chapter ?? "");
  const news = announcer.step(happening, performance.now() / 1000);
  if (news !== "") say($("news"), news);
}

let scrubbing = false;

function showTimeline(behind) {
  const line = $("timeline");
  const { playhead } = session;
  const reach = Math.floor(playhead.window);
  line.min = String(-Math.max(1, reach));
  if (!scrubbing) line.value = String(-Math.min(reach, behind <= playhead.near ? 0 : behind));
  const back = -Number(line.value);
  line.setAttribute("aria-valuetext", back === 0 ? "Live" : `${spell(back)} behind live`);
  line.style.setProperty("--filled", `${100 * (1 - back / Math.max(1, reach))}%`);
}

function showDebug() {
  const { troubles, ...values } = session.diagnostics;
  const lines = Object.entries(values).map(([key, value]) => {
    return `${key}: ${typeof value === "number" && !Number.isInteger(value) ? value.toFixed(3) : value}`;
  });
  say($("debug"), [...lines, ...troubles.map((trouble) => JSON.stringify(trouble))].join("\n"));
}

function toggle() {
  if (session.wanted) session.pause();
  else session.play();
  listening.wake();
}

function bindTimeline() {
  const line = $("timeline");
  line.addEventListener("input", () => { scrubbing = true; });
  line.addEventListener("change", () => {
    scrubbing = false;
    session.seekBehind(-Number(line.value));
  });
}

function showVolume() {
  const silent = media.muted || media.volume === 0;
  $("mute").dataset.icon = silent ? "muted" : "volume";
  $("mute").setAttribute("aria-pressed", String(media.muted));
  const percent = Math.round((media.muted ? 0 : media.volume) * 100);
  $("volume").value = String(percent);
  $("volume").setAttribute("aria-valuetext", `${percent} %`);
  $("volume").style.setProperty("--filled", `${percent}%`);
}

function bindVolume() {
  media.volume = Math.min(1, Math.max(0, Number(remembered("volume") ?? 1) || 0));
  // Some phones leave the volume to their buttons.
  $("volume").hidden = media.volume === 1 && !settable();
  $("mute").addEventListener("click", () => { media.muted = !media.muted; });
  $("volume").addEventListener("input", () => {
    media.muted = false;
    media.volume = Number($("volume").value) / 100;
    remember("volume", String(media.volume));
  });
  media.addEventListener("volumechange", showVolume);
  showVolume();
}

function settable() {
  const element = new Audio();
  element.volume = 0.5;
  return element.volume === 0.5;
}

function bindKeys() {
  document.addEventListener("keydown", (event) => {
    const onControl = event.target.closest("button, a, input, select, textarea");
    if (event.key !== " " || onControl || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    toggle();
  });
}

function bindMediaSession(title) {
  if (!("mediaSession" in navigator)) return;
  const artwork = [{ src: "/assets/icon.svg", sizes: "any", type: "image/svg+xml" }];
  navigator.mediaSession.metadata = new MediaMetadata({ title, artist: "Longwave", artwork });
  navigator.mediaSession.setActionHandler("play", () => session.play());
  navigator.mediaSession.setActionHandler("pause", () => session.pause());
  navigator.mediaSession.setActionHandler("stop", () => session.pause());
}

async function showTitle() {
  // The id stands in when the title takes its time.
  setTimeout(() => { if ($("title").textContent.trim() === "") say($("title"), room); }, 400);
  await place.tend();
  // The lobby does not list private rooms, nor an older server where to listen.
  const title = place.title || (await findRoom(room))?.title || room;
  say($("title"), title);
  document.title = `${title} · Longwave`;
  bindMediaSession(title);
}

let titled;

session.addEventListener("change", () => {
  show();
  // A take may bring a new title.
  if (session.take !== titled) {
    titled = session.take;
    showTitle();
  }
});
media.addEventListener("playing", () => listening.wake());
$("play").addEventListener("click", toggle);
$("live").addEventListener("click", () => session.goLive());
$("share").addEventListener("click", () => {
  offerLink($("link"), $("said"), document.title, { note: place.private ? NEEDS_INVITATION : "" });
});
$("speak").href = `/speak/${encodeURIComponent(room)}`;
$("speak").hidden = !maySpeak({ hostname: location.hostname, token });
$("debug").hidden = !new URLSearchParams(location.search).has("debug");
bindTimeline();
bindVolume();
bindKeys();
showTitle();
if (await mayPlay()) session.play();
session.start();
show();
