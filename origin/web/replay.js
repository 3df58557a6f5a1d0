// The replay page: binds what the server has of a take, its sound, and the host's hand to what people see and press.

import { Admission } from "./admission.js";
import { Announcer } from "./announcer.js";
import { ChapterList } from "./chapter_list.js";
import { listed } from "./happening.js";
import { bindHeadset, tellHeadset } from "./headset.js";
import { maySpeak } from "./may_speak.js";
import { momentIn } from "./moment.js";
import { ReplayApi } from "./replay_api.js";
import { Controls, say } from "./replay_controls.js";
import { HostPart } from "./replay_host.js";
import { bindLinks } from "./replay_sharing.js";
import { ANY_TOKEN, ReplaySound } from "./replay_sound.js";
import { ReplaySource } from "./replay_source.js";
import { WORDS, dayAndTime, lasting, ofGaps } from "./replay_words.js";
import { findRoom } from "./rooms.js";
import { seconds } from "./seconds.js";
import { server } from "./server.js";
import { Sound } from "./sound.js";
import { SpeakerLanes, heard, speakingAt } from "./speaker_lanes.js";
import { chapterAt, total } from "./timeline.js";
import { claims, onlyListens, takeToken } from "./token.js";
import { Waveform } from "./waveform.js";
import { takeStart } from "./words.js";

const TICK_MS = 100;
// A take that is live is not over at any moment.
const LIVE_MS = 8000;
// While the sound does not come, the server is asked why, so often.
const WHY_MS = 2000;

const $ = (id) => document.getElementById(id);
const [room, take] = location.pathname.split("/").slice(2).map(decodeURIComponent);
const token = takeToken(room, window);
const listen = takeToken(room, window, "listen");
const get = (...request) => fetch(...request);
const playable = $("audio").canPlayType('audio/mp4; codecs="mp4a.40.2"') !== "";

// Only for these the host's part is asked for: everybody else would get a refusal for nothing.
const mayEdit = !["speaker", "listener"].includes(claims(token).role) && maySpeak({ hostname: location.hostname, token });

let state = "loading";
let replay = null;
let looking = false;
let asking = null;
// Whether the moment in the address has been gone to.
let sought = false;

const admission = new Admission(room, { token, listen }, get, server());
const source = new ReplaySource(room, take, onlyListens(token) ? null : token, admission, get);
const sound = new Sound($("audio"));
const download = { link: $("download"), name: `${room}-${take}.m4a` };
const replaySound = new ReplaySound(sound, source, admission, download, showState);
const titleAt = (seconds) => replay?.chapters[chapterAt(replay.chapters, seconds)]?.title ?? "";
const controls = new Controls($, sound, $("audio"), titleAt);
const waveform = new Waveform($("waveform"));
const chapters = new ChapterList($("chapters"), (at) => goTo(at));
const lanes = new SpeakerLanes($("speakers"), $("all-speakers"), controls.hand);
const announcer = new Announcer();
const api = new ReplayApi(room, take, token, get);
const host = new HostPart($, api, { position: () => sound.position, changed: edited, deleted });

// For tests and for the curious: a snapshot of what the page knows. Nothing here can be changed.
Object.defineProperty(window, "longwave", {
  get: () => Object.freeze({
    state: shownState(), position: sound.position, wanted: sound.wanted, rate: $("audio").playbackRate,
    seconds: replay?.seconds ?? null, chapter: titleAt(sound.position),
    speakers: replay === null ? [] : speakingAt(replay.speakers, sound.position), sound: sound.state,
  }),
});

// ---- what the server has ------------------------------------------------------------------------------------

async function look() {
  if (looking) return;
  looking = true;
  const answer = await source.ask(seconds());
  looking = false;
  // Whoever listens is not disturbed by what is known already.
  if (answer.kind === "ready" && replay === null) await found(answer.replay);
  if (answer.kind === "gone") await hidden();
  if (answer.kind === "refused") refused();
  if (answer.kind === "unfinished") await unfinished(answer.after);
  if (answer.kind === "trouble" && replay === null) {
    become("trouble");
    setTimeout(look, answer.after);
  }
}

/** A token that is not good (any more) shall not stand in the way of what everybody may hear. */
function refused() {
  if (!source.opened) {
    become("gone");
    return;
  }
  source.show(null);
  setTimeout(look);
}

/** Nobody but a host may see it, or there is nothing. */
async function hidden() {
  if (!source.opened && mayEdit && (await api.ask()) !== null) {
    source.show(ANY_TOKEN);
    setTimeout(look);
    return;
  }
  become(admission.refusal ?? "gone");
}

async function unfinished(after) {
  const known = await findRoom(room);
  if (known !== null) showTitle(known.title || room);
  const live = known?.take === take;
  become(live ? "live" : "finishing");
  setTimeout(look, live ? Math.max(after, LIVE_MS) : after);
}

async function found(read) {
  const said = mayEdit ? await api.ask() : null;
  replay = said === null ? read : { ...read, title: said.title, chapters: said.chapters };
  if (said !== null) host.show(said);
  showReplay();
  await loadSound(said?.published ?? true);
  const moment = momentIn(location.hash);
  if (moment !== null && !sought) controls.seek(moment);
  sought = true;
}

async function loadSound(published) {
  $("notice").hidden = published;
  $("feed").hidden = replay.private; // a feed outlives every token that a page has
  await replaySound.load({ published, private: replay.private });
}

// ---- what people see ----------------------------------------------------------------------------------------

function become(next) {
  state = next;
  const out = state !== "ready";
  $("kept").hidden = out;
  if (out) {
    replay = null;
    sound.unload();
  }
  const lobby = ["/", "All rooms"];
  const lead = {
    live: [`/listen/${encodeURIComponent(room)}`, "Listen live"],
    gone: lobby, private: lobby, expired: lobby, deleted: lobby,
  }[state];
  $("leads").hidden = lead === undefined;
  if (lead !== undefined) [$("lead").href, $("lead").textContent] = lead;
  if (out) $("notice").hidden = true;
  showState();
}

function shownState() {
  if (state !== "ready") return state;
  if (!playable) return "unplayable";
  return ["broken", "waiting"].includes(sound.state) ? sound.state : "ready";
}

function showState() {
  const shown = shownState();
  const [word, hint] = WORDS[shown];
  document.body.dataset.state = shown;
  const { progress } = replaySound;
  const percent = progress === null ? "" : `Loading the sound: ${Math.round(progress * 100)} %`;
  say($("state"), percent || word);
  say($("hint"), hint);
}

function showReplay() {
  const { title, roomTitle, start, seconds, gaps } = replay;
  showTitle(title);
  const length = lasting(seconds).replaceAll(" ", "\u00a0"); // stays on one line
  const about = [title.includes(roomTitle) ? "" : roomTitle, dayAndTime(start), length];
  say($("when"), about.filter((text) => text !== "").join(" · "));
  become("ready");
  controls.length = seconds;
  waveform.show(replay);
  chapters.show(replay.chapters);
  $("chapter-part").hidden = replay.chapters.length === 0;
  lanes.show(replay);
  const names = heard(replay.speakers).map(({ name }) => name);
  $("speaker-part").hidden = names.length === 0;
  say($("gaps"), ofGaps(gaps.length, total(gaps)));
  $("gaps").hidden = gaps.length === 0;
  bindHeadset({ title, artist: listed(names), album: roomTitle }, {
    play: () => sound.play(), pause: () => sound.pause(), skip: (by) => controls.skip(by),
    seek: (at) => controls.seek(at), step,
  });
  tick();
}

function showTitle(title) {
  say($("title"), title);
  document.title = `${title} · Longwave`;
}

function tick() {
  showState();
  replaySound.renew(() => state === "ready");
  if (replay === null || state !== "ready") return;
  const { position } = sound;
  controls.show();
  waveform.move(position, controls.pointed);
  lanes.move(position);
  host.move(position);
  const chapter = chapters.follow(position)?.title ?? null;
  const speakers = speakingAt(replay.speakers, position);
  say($("chapter"), chapter ?? "");
  say($("voices"), listed(speakers));
  if (!sound.wanted) return;
  const news = announcer.step({ speakers, chapter }, performance.now() / 1000);
  if (news !== "") say($("news"), news);
}

// ---- what people do -----------------------------------------------------------------------------------------

/** To a chapter, which somebody has pressed on: to hear it. */
function goTo(at) {
  controls.seek(at);
  sound.play();
}

function step(by) {
  const now = chapterAt(replay.chapters, sound.position);
  const next = replay.chapters[Math.max(0, now + by)];
  if (next !== undefined) controls.seek(next.at);
}

function edited(said) {
  replay = { ...replay, title: said.title, chapters: said.chapters };
  showReplay();
  loadSound(said.published);
}

function deleted() {
  become("deleted");
}

bindLinks($, room, { replay: () => replay, position: () => sound.position });
window.addEventListener("hashchange", () => {
  const moment = momentIn(location.hash);
  if (moment !== null && replay !== null) controls.seek(moment);
});
sound.addEventListener("change", () => {
  tick();
  const { position, wanted, rate } = sound;
  tellHeadset({ playing: wanted, position, duration: replay?.seconds ?? 0, rate });
  if (sound.state === "broken" && state === "ready") asking ??= setTimeout(askWhy, WHY_MS);
});

/** It may have been deleted, or is not public any more. */
async function askWhy() {
  if (sound.state === "broken" && state === "ready") await look();
  asking = sound.state === "broken" && state === "ready" ? setTimeout(askWhy, WHY_MS) : null;
}

// The id stands in when the title takes its time.
setTimeout(() => { if ($("title").textContent.trim() === "") showTitle(room); }, 400);
if (takeStart(take) !== null) say($("when"), dayAndTime(takeStart(take)));
setInterval(tick, TICK_MS);
look();
