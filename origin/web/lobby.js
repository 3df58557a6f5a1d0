// The lobby: which rooms are live, kept up to date while somebody looks at it.

import { listRooms } from "./rooms.js";
import { spell } from "./words.js";

const REFRESH_MS = 4000;
const list = document.getElementById("rooms");
const said = document.getElementById("said");
const cards = new Map();

function makeCard({ room, listen }) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = listen ?? `/listen/${encodeURIComponent(room)}`;
  const parts = ["title", "since"].map((name) => {
    const part = document.createElement("span");
    part.className = name;
    return part;
  });
  link.append(...parts);
  item.append(link);
  return item;
}

function fillCard(item, { room, title, started_at: startedAt }, now) {
  const started = Date.parse(startedAt);
  const minutes = Math.max(0, now - started) / 60000;
  const since = minutes >= 1 ? `Live for ${spell(Math.floor(minutes) * 60).replace(" 0 s", "")}` : "Just started";
  item.querySelector(".title").textContent = title || room;
  item.querySelector(".since").textContent = Number.isFinite(started) ? since : "Live";
}

/** Cards are kept as long as their room is live, so that whoever has the focus on one keeps it. */
function show({ rooms, now }) {
  const live = rooms.filter((room) => room.live);
  for (const [id, item] of cards) {
    if (live.some(({ room }) => room === id)) continue;
    item.remove();
    cards.delete(id);
  }
  for (const room of live) {
    const item = cards.get(room.room) ?? makeCard(room);
    cards.set(room.room, item);
    fillCard(item, room, now);
    if (!item.isConnected) list.append(item);
  }
  tell(live.length === 0 ? "Nobody is on air right now. Rooms appear here as they go live." : counted(live.length));
}

function counted(n) {
  return n === 1 ? "1 room is live" : `${n} rooms are live`;
}

function tell(text) {
  if (said.textContent !== text) said.textContent = text;
}

async function refresh() {
  if (!document.hidden) {
    try {
      show(await listRooms());
    } catch {
      tell("The server does not answer. Trying again.");
    }
  }
  setTimeout(refresh, REFRESH_MS * (0.8 + 0.4 * Math.random()));
}

refresh();
