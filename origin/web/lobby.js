// The lobby: which rooms are live, and what there is to be heard again; kept up to date while somebody looks at it.

import { day, dayAndTime, lasting } from "./replay_words.js";
import { listRooms, replaysOf } from "./rooms.js";
import { spell } from "./words.js";

const REFRESH_MS = 4000;
const said = document.getElementById("said");

/** A list of cards. They are kept as long as what they stand for, so that whoever has the focus on one keeps it. */
class Cards {
  #list;
  #cards = new Map();

  constructor(list) {
    this.#list = list;
  }

  /** @param {{id: string, href: string, title: string, about: string}[]} cards in their order */
  show(cards) {
    for (const [id, item] of this.#cards) {
      if (cards.some((card) => card.id === id)) continue;
      item.remove();
      this.#cards.delete(id);
    }
    let before = null;
    for (const card of cards) {
      const item = this.#cards.get(card.id) ?? makeCard(card);
      this.#cards.set(card.id, item);
      put(item.querySelector(".title"), card.title);
      put(item.querySelector(".since"), card.about);
      const place = before === null ? this.#list.firstElementChild : before.nextElementSibling;
      if (place !== item) this.#list.insertBefore(item, place);
      before = item;
    }
  }
}

function makeCard({ href }) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = href;
  const parts = ["title", "since"].map((name) => {
    const part = document.createElement("span");
    part.className = name;
    return part;
  });
  link.append(...parts);
  item.append(link);
  return item;
}

function liveCard({ room, title, listen, started_at: startedAt }, now) {
  const started = Date.parse(startedAt);
  const minutes = Math.max(0, now - started) / 60000;
  const since = minutes >= 1 ? `Live for ${spell(Math.floor(minutes) * 60).replace(" 0 s", "")}` : "Just started";
  return {
    id: room,
    href: listen ?? `/listen/${encodeURIComponent(room)}`,
    title: title || room,
    about: Number.isFinite(started) ? since : "Live",
  };
}

function replayCard({ title, roomTitle, started_at: startedAt, seconds, page }, _, all) {
  // A title that the server made says the room and the day already, but not which of that day's it is.
  const twin = all.some((other) => other.title === title && other.page !== page);
  const when = (twin ? dayAndTime : day)(Date.parse(startedAt));
  const about = [roomTitle, when].filter((text) => !title.includes(text));
  const length = lasting(seconds).replaceAll(" ", "\u00a0"); // stays on one line
  return { id: page, href: page, title, about: [...about, length].join(" · ") };
}

const live = new Cards(document.getElementById("rooms"));
const kept = new Cards(document.getElementById("replays"));

function show({ rooms, now }) {
  const onAir = rooms.filter((room) => room.live);
  live.show(onAir.map((room) => liveCard(room, now)));
  const replays = replaysOf(rooms);
  kept.show(replays.map(replayCard));
  document.getElementById("kept").hidden = replays.length === 0;
  put(said, onAir.length === 0 ? "Nobody is on air right now. Rooms appear here as they go live." : counted(onAir.length));
}

function counted(n) {
  return n === 1 ? "1 room is live" : `${n} rooms are live`;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

async function refresh() {
  if (!document.hidden) {
    try {
      show(await listRooms());
    } catch {
      put(said, "The server does not answer. Trying again.");
    }
  }
  setTimeout(refresh, REFRESH_MS * (0.8 + 0.4 * Math.random()));
}

refresh();
