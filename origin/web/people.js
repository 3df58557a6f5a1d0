// Who is in the room, and the host's hand on them. Rows stay as long as their speaker does, so that whoever has the
// focus on a button keeps it.

const KINDS = { whip: "", pcm: "audio stream", ws: "audio stream" };

export class People {
  #list;
  #commands;
  #rows = new Map();

  /**
   * @param {HTMLElement} list
   * @param {{mute: (name: string) => void, unmute: (name: string) => void, remove: (name: string) => void}} commands
   */
  constructor(list, commands) {
    this.#list = list;
    this.#commands = commands;
  }

  /**
   * @param {import("./room_api.js").SpeakerNow[]} speakers
   * @param {{me: string | null, quiet: boolean, host: boolean}} viewer `quiet`: who has muted themselves
   */
  show(speakers, { me, quiet, host }) {
    // Nameless streams are told apart by their order.
    const keyed = speakers.map((speaker, index) => [speaker.name ?? `\n${index}`, speaker]);
    const present = new Map(keyed);
    for (const [key, row] of this.#rows) {
      if (present.has(key)) continue;
      row.item.remove();
      this.#rows.delete(key);
    }
    for (const [key, speaker] of present) {
      const row = this.#rows.get(key) ?? this.#add(key, speaker);
      fill(row, speaker, { mine: speaker.name !== null && speaker.name === me, quiet, host });
    }
  }

  #add(key, { name }) {
    const item = document.createElement("li");
    const text = document.createElement("span");
    text.className = "person";
    const [who, doing] = ["who", "doing"].map((kind) => {
      const part = document.createElement("span");
      part.className = kind;
      return part;
    });
    text.append(who, doing);
    const hand = document.createElement("span");
    hand.className = "hand";
    const mute = button();
    const remove = button();
    label(remove, "remove", `Remove ${name}`);
    mute.addEventListener("click", () => {
      if (mute.dataset.muted === "true") this.#commands.unmute(name);
      else this.#commands.mute(name);
    });
    remove.addEventListener("click", () => this.#commands.remove(name));
    hand.append(mute, remove);
    item.append(text, hand);
    this.#list.append(item);
    const row = { item, who, doing, hand, mute };
    this.#rows.set(key, row);
    return row;
  }
}

function fill({ item, who, doing, hand, mute }, { name, kind, speaking, muted }, { mine, quiet, host }) {
  item.dataset.speaking = String(speaking && !muted);
  put(who, `${name ?? "Somebody without a name"}${mine ? " (you)" : ""}`);
  const what = [KINDS[kind] ?? "", muted || (mine && quiet) ? "muted" : "", speaking && !muted ? "speaking" : ""];
  put(doing, what.filter((word) => word !== "").join(", "));
  // The host's hand reaches by name.
  hand.hidden = !host || name === null;
  mute.dataset.muted = String(muted);
  label(mute, muted ? "microphone-off" : "microphone", `${muted ? "Unmute" : "Mute"} ${name}`);
}

function button() {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "round";
  return made;
}

function label(made, icon, words) {
  if (made.title === words) return;
  made.dataset.icon = icon;
  made.title = words;
  made.setAttribute("aria-label", words);
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
