// The speaker's page: binds a Microphone, the wish to be on air and the room to what people see and press.

import { bindHost } from "./host.js";
import { InputLevel, LevelJudge } from "./input_level.js";
import { remember, remembered } from "./memory.js";
import { Meter } from "./meter.js";
import { Microphone } from "./microphone.js";
import { People } from "./people.js";
import { RoomApi, readRoom } from "./room_api.js";
import { WORDS, actionOf, advice, complaint, listening, stateOf } from "./speak_words.js";
import { Speaking } from "./speaking.js";
import { bindCallButtons, stayAwake, tellCallButtons } from "./stay_awake.js";
import { claims, expired, takeToken } from "./token.js";
import { publisher } from "./whip.js";
import { clock } from "./words.js";

const LOOK_MS = 1500;
// Who is not on air has time, and who does not even look has more.
const LOOK_OFF_AIR_MS = 3000;
const LOOK_HIDDEN_MS = 8000;
// The server lists who has come when it has heard them.
const HEARD_MS = 400;
// Somebody who left is still listed while the last of their sound is heard.
const LINGER_MS = 1000;
const TICK_MS = 100;

const $ = (id) => document.getElementById(id);
const id = decodeURIComponent(location.pathname.split("/")[2] ?? "");
const token = takeToken(id, window);
const get = (...request) => fetch(...request);
const capable = typeof RTCPeerConnection !== "undefined" && navigator.mediaDevices?.getUserMedia !== undefined;

const api = new RoomApi(id, token, get);
const microphone = new Microphone(navigator.mediaDevices ?? new EventTarget());
const speaking = new Speaking({ open: publisher(token, get), ask: () => api.ask() });
const level = new InputLevel();
let judge = new LevelJudge();
const meter = new Meter($("meter"), () => level.read()?.level ?? 0);
const people = new People($("people"), bindHost(api, $));

let room = readRoom(id, {});
let answer = "unknown";
let lastTake = null;
let refusal = "";
let onAirSince = null;
let connection = null;

function facts() {
  const { state, interrupted, muted } = microphone;
  return {
    secure: window.isSecureContext, capable, microphone: state, interrupted, muted, room: answer,
    expired: expired(token, Date.now()), ...speaking.facts,
  };
}

// For tests and for the curious: a snapshot of what the page knows. Nothing here can be changed.
Object.defineProperty(window, "longwave", {
  get: () => {
    const known = facts();
    return Object.freeze({
      ...known, state: stateOf(known), name: $("name").value, level: level.read()?.level ?? null,
      role: role(), connection, microphoneId: microphone.id, people: room.speakers, listeners: room.listeners,
      original: microphone.original, settings: microphone.track?.getSettings() ?? null,
    });
  },
});

function role() {
  return room.you.role ?? claims(token).role ?? null;
}

/** Write only what has changed, so that a screen reader hears each thing once. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show() {
  const known = facts();
  const state = stateOf(known);
  const [word, hint] = WORDS[state];
  document.body.dataset.state = state;
  say($("state"), word);
  const trouble = complaint(state, known.message || (known.wanted ? "" : refusal));
  say($("hint"), [hint, trouble].filter((text) => text !== "").join(" "));
  showControls(known, actionOf(state));
  showFields(known);
  meter.run(known.microphone === "open" && !document.hidden);
  stayAwake(known.wanted);
  tellCallButtons({ title: room.title, muted: known.muted, onAir: known.connected });
  if (!$("debug").hidden) say($("debug"), JSON.stringify(window.longwave, null, 1));
}

function showControls(known, action) {
  const hadFocus = document.activeElement === $("go");
  $("go").hidden = known.wanted || action === null;
  if (action !== null) say($("go"), action[0]);
  // A name is needed to go on air, not to try the microphone.
  $("go").formNoValidate = action?.[1] === "open";
  $("mute").hidden = !known.wanted;
  $("mute").setAttribute("aria-pressed", String(known.muted));
  $("mute").dataset.icon = known.muted ? "microphone-off" : "microphone";
  $("leave").hidden = !known.wanted;
  $("keys").hidden = !known.wanted || matchMedia("(pointer: coarse)").matches;
  say($("keys"), `Click it or press the space bar to ${known.muted ? "unmute" : "mute"} yourself.`);
  if (known.wanted && hadFocus) $("mute").focus();
  if (!known.connected && !known.wanted) onAirSince = null;
  if (known.connected) onAirSince ??= performance.now();
  $("elapsed").hidden = onAirSince === null;
}

function showFields(known) {
  const given = room.you.name ?? claims(token).name;
  const fixed = given !== undefined && given !== null && role() === "speaker";
  if (fixed && !known.wanted) $("name").value = given;
  $("name").disabled = known.wanted;
  $("name").readOnly = fixed;
  say($("name-hint"), fixed ? "Your invitation gives you this name." : "Everybody in the room sees it.");
  $("original").checked = microphone.original;
  showMicrophones();
}

function showMicrophones() {
  const select = $("microphone");
  const { list, id: current } = microphone;
  select.disabled = list.length === 0;
  const shown = list.map((device) => `${device.id}\n${device.label}`).join("\n\n");
  if (select.dataset.shown !== shown && list.length > 0) {
    select.dataset.shown = shown;
    select.replaceChildren(...list.map((device) => new Option(device.label, device.id)));
  }
  if (list.some((device) => device.id === current) && select.value !== current) select.value = current;
}

function showRoom() {
  say($("title"), room.title);
  document.title = `${room.title} · Speak · Longwave`;
  $("room").hidden = answer !== "known";
  say($("listeners"), room.take === null ? "" : listening(room.listeners));
  const host = ["host", "admin"].includes(role());
  $("alone").hidden = room.speakers.length > 0;
  const me = speaking.facts.connected ? $("name").value : null;
  people.show(room.speakers, { me, quiet: microphone.muted, host });
  $("host").hidden = !host || room.take === null;
  // Also where nothing is published by itself: this tab has the host's token.
  lastTake = room.take ?? lastTake;
  $("kept").hidden = !host || room.take !== null || lastTake === null;
  if (lastTake !== null) $("replay").href = `/replay/${encodeURIComponent(id)}/${lastTake}`;
}

/** Ten times a second: what moves. */
function tick() {
  const now = performance.now();
  const read = level.read();
  if (read !== null) judge.push(read.peak, read.level, now);
  const { muted, state } = microphone;
  const told = read === null || state !== "open" ? {} : judge.judge(now, muted && speaking.facts.wanted);
  // Once a second, and what is true long enough: words that flicker help nobody.
  if (Math.floor(now / 1000) !== Math.floor((now - TICK_MS) / 1000)) {
    say($("advice"), advice(told));
    if (onAirSince !== null) say($("elapsed"), clock((now - onAirSince) / 1000));
  }
}

let nextLook = null;

/** What the server says of the room, again and again. */
async function look() {
  clearTimeout(nextLook);
  const { session } = speaking;
  const said = await api.ask();
  if (said.kind === "known") {
    answer = "known";
    refusal = "";
    room = said.room;
    if (session !== null && session === speaking.session) speaking.look(room);
  } else if (said.kind === "unreachable") {
    speaking.doubt();
  } else if (said.status === 401 || said.status === 403) {
    answer = said.status === 401 ? "unauthorized" : "forbidden";
    refusal = said.message;
    if (!speaking.facts.wanted && microphone.track !== null) microphone.close();
  }
  connection = await speaking.session?.stats().catch(() => null) ?? null;
  showRoom();
  show();
  const off = document.hidden ? LOOK_HIDDEN_MS : LOOK_OFF_AIR_MS;
  lookIn((speaking.facts.wanted ? LOOK_MS : off) * (0.8 + 0.4 * Math.random()));
}

function lookIn(delay) {
  clearTimeout(nextLook);
  nextLook = setTimeout(look, delay);
}

async function go() {
  level.wake();
  const action = actionOf(stateOf(facts()))?.[1];
  if (microphone.track === null) {
    await microphone.open();
    if (action === "open") return;
  }
  const name = $("name").value.trim();
  if (microphone.track === null || name === "") return;
  $("name").value = name;
  remember("name", name);
  const url = `/whip/${encodeURIComponent(id)}?speaker=${encodeURIComponent(name)}`;
  speaking.start({ url, name, track: microphone.track, maxBitrate: microphone.maxBitrate });
}

function toggleMute() {
  if (!speaking.facts.wanted) return;
  microphone.muted = !microphone.muted;
}

function leave() {
  speaking.stop();
  $("go").focus();
}

/** Who has come or gone sees that soon. Off the air, by whoever's wish, the page does not listen either. */
function comeAndGo() {
  const { wanted, connected } = speaking.facts;
  if (before.wanted && !wanted) {
    microphone.close();
    lookIn(LINGER_MS);
  } else if (connected && !before.connected) {
    lookIn(HEARD_MS);
  }
  before = { wanted, connected };
}

let before = { wanted: false, connected: false };

let followed = null;

microphone.addEventListener("change", () => {
  const { track, maxBitrate } = microphone;
  if (track !== followed) {
    followed = track;
    judge = new LevelJudge();
    level.follow(track);
    speaking.change({ track, maxBitrate });
  }
  show();
});
speaking.addEventListener("change", () => {
  comeAndGo();
  show();
});

function bind() {
  $("listen").href = `/listen/${encodeURIComponent(id)}`;
  // Others than speakers may take another name than their invitation's.
  $("name").value = remembered("name") ?? claims(token).name ?? "";
  $("setup").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!speaking.facts.wanted) go();
  });
  $("mute").addEventListener("click", toggleMute);
  $("leave").addEventListener("click", leave);
  $("microphone").addEventListener("change", () => microphone.choose($("microphone").value));
  $("original").addEventListener("change", () => microphone.setOriginal($("original").checked));
  document.addEventListener("pointerdown", () => level.wake());
  document.addEventListener("visibilitychange", show);
  document.addEventListener("keydown", (event) => {
    const onControl = event.target.closest("button, a, input, select, dialog");
    if (event.key !== " " || onControl || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!speaking.facts.wanted) return;
    event.preventDefault();
    if (!event.repeat) toggleMute();
  });
  window.addEventListener("online", () => speaking.hurry());
  navigator.connection?.addEventListener?.("change", () => speaking.hurry());
  window.addEventListener("pagehide", () => speaking.stop());
  bindCallButtons({ mute: toggleMute, leave });
}

/** Where the permission was given before, the level is to be seen at once: by whoever may speak. */
async function openIfAllowed() {
  const permission = await navigator.permissions?.query({ name: "microphone" }).catch(() => null);
  if (permission?.state === "granted" && !["unauthorized", "forbidden"].includes(answer)) await microphone.open();
}

$("debug").hidden = !new URLSearchParams(location.search).has("debug");
bind();
show();
setInterval(tick, TICK_MS);
look();
if (capable && window.isSecureContext) openIfAllowed();
