// What the replay page says, and how it speaks of time.

/** By state: the word, and what it means for whoever reads it. */
export const WORDS = Object.freeze({
  loading: ["Loading", ""],
  finishing: ["Almost there", "This replay is being put together. It appears here by itself."],
  live: ["On air", "This is going on right now. The replay comes when it is over."],
  gone: ["No replay here", "It is not public, or was deleted, or the address is not quite right. A private one opens only by invitation."],
  private: ["This replay is private", "You need an invitation: ask whoever told you of it for a link of your own."],
  expired: ["Your invitation has expired", "This replay is private. Ask whoever invited you for a new link."],
  deleted: ["Deleted", "This replay is gone for good."],
  trouble: ["Back in a moment", "The replay cannot be reached just now. Trying again."],
  unplayable: ["This browser cannot play it", "It cannot play AAC. The file can still be downloaded."],
  broken: ["Back in a moment", "The sound has stopped on the way. It goes on by itself."],
  waiting: ["Loading the sound", ""],
  ready: ["Replay", ""],
});

const DAY = { day: "numeric", month: "long", year: "numeric" };
const DAY_AND_TIME = { ...DAY, hour: "2-digit", minute: "2-digit" };

/** "3 July 2026 at 19:00", by the clock of whoever reads it; as the titles that the server makes. */
export function dayAndTime(milliseconds, timeZone) {
  return new Intl.DateTimeFormat("en-GB", { ...DAY_AND_TIME, timeZone }).format(milliseconds);
}

/** "3 July 2026" */
export function day(milliseconds, timeZone) {
  return new Intl.DateTimeFormat("en-GB", { ...DAY, timeZone }).format(milliseconds);
}

// Below this, seconds matter to how long something is.
const BRIEF = 300;

/** How long something is, as people say it: 101.8 → "1 min 41 s", 754 → "13 min", 3720 → "1 h 2 min", 7200 → "2 h" */
export function lasting(seconds) {
  if (seconds < BRIEF) return spoken(Math.max(1, seconds)); // whole ones, as clocks beside it have
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const [h, m] = [Math.floor(minutes / 60), minutes % 60];
  return m === 0 ? `${h} h` : `${h} h ${m} min`;
}

/** An instant for a screen reader, who would read "1:02" as a time of day: 3754 → "1 h 2 min 34 s" */
export function spoken(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [[Math.floor(whole / 3600), "h"], [Math.floor(whole / 60) % 60, "min"], [whole % 60, "s"]];
  return parts.filter(([n, unit]) => n > 0 || (unit === "s" && whole === 0)).map((part) => part.join(" ")).join(" ");
}

/** What is said of a recording with holes. */
export function ofGaps(count, seconds) {
  if (count === 0) return "";
  const places = count === 1 ? "one place" : `${count} places`;
  return `The recording has a gap in ${places}, ${lasting(seconds)} in all: dotted in the picture, silent to the ear.`;
}
