// Who speaks, and in which chapter, at one instant of the room's time: from the date ranges of its playlist.
//
// Both kinds are classes of ranges that follow one another, each of which ends where the next one begins: the
// last one that has begun is the one that lasts.

const CHAPTER = "com.longwave.chapter";
const SPEAKERS = "com.longwave.speakers";

/** @typedef {{ speakers: string[], chapter: string | null }} Happening */

/** @type {Happening} */
export const NOTHING = Object.freeze({ speakers: Object.freeze([]), chapter: null });

/**
 * @param {{class: string, startDate: Date, attr: Record<string, string>}[]} ranges in any order
 * @param {number} date milliseconds since 1970, by the room's clock
 * @returns {Happening}
 */
export function happeningAt(ranges, date) {
  const chapter = lastBegun(ranges, CHAPTER, date)?.attr["X-TITLE"];
  const speakers = lastBegun(ranges, SPEAKERS, date)?.attr["X-SPEAKERS"];
  return {
    speakers: speakers ? speakers.split(",").map(decoded) : [],
    chapter: chapter ? decoded(chapter) : null,
  };
}

function lastBegun(ranges, kind, date) {
  let last = null;
  for (const range of ranges) {
    if (range.class !== kind || !(range.startDate.getTime() <= date)) continue;
    if (last === null || range.startDate >= last.startDate) last = range;
  }
  return last;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not one of our playlists
  }
}

// More names than this are a crowd.
const NAMED = 4;

/** ["Ann", "Bo", "Cy"] → "Ann, Bo and Cy"; of six, four are named: "Ann, Bo, Cy, Di and 2 others". */
export function listed(names) {
  if (names.length <= 1) return names[0] ?? "";
  const others = names.length - NAMED;
  const shown = others > 1 ? [...names.slice(0, NAMED), `${others} others`] : names;
  return `${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}`;
}
