// What lies where on a replay's timeline. Pure: seconds from its begin, and pixels of whoever draws it.

/** @typedef {[number, number]} Span from a second up to another */
/** @typedef {{at: number, title: string}} Chapter */

/**
 * Which chapter lasts at an instant.
 *
 * @param {Chapter[]} chapters in the order of time @param {number} seconds
 * @returns {number} its index; -1 before the first
 */
export function chapterAt(chapters, seconds) {
  let [low, high] = [0, chapters.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    // What was sought is reached a rounding error short of where the chapter begins.
    if (chapters[middle].at <= seconds + 0.001) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** @param {Span[]} spans in the order of time @param {number} seconds @returns {boolean} */
export function covers(spans, seconds) {
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle][0] <= seconds) low = middle + 1;
    else high = middle;
  }
  return low > 0 && seconds < spans[low - 1][1];
}

/** @param {Span[]} spans that do not overlap @returns {number} seconds in all */
export function total(spans) {
  return spans.reduce((sum, [from, to]) => sum + to - from, 0);
}

/**
 * Spans as they can be drawn: none narrower than `least` pixels, and what would touch or overlap is one.
 *
 * @param {Span[]} spans in the order of time, in seconds @param {number} seconds the whole @param {number} width
 * @param {number} least @returns {Span[]} in pixels
 */
export function drawn(spans, seconds, width, least = 2) {
  const scale = width / seconds;
  const found = [];
  for (const [from, to] of spans) {
    const start = Math.min(from * scale, width - least);
    const end = Math.max(to * scale, start + least);
    const last = found.at(-1);
    if (last !== undefined && start <= last[1] + 1) last[1] = Math.max(last[1], end);
    else found.push([start, end]);
  }
  return found;
}

/**
 * The waveform as bars. A bar is as tall as the mean of the peaks in it: over half a minute of speech, the highest is
 * always the same.
 *
 * @param {Int8Array} extremes least and greatest value of each pixel, in turns
 * @param {number} length pixels that the whole would have (what is missing at the end is silence)
 * @param {number} bars @returns {Float32Array} 0…1, the loudest near 1
 */
export function heights(extremes, length, bars) {
  const found = new Float32Array(bars);
  for (let bar = 0; bar < bars; bar += 1) {
    const from = Math.min(length - 1, Math.floor((bar * length) / bars));
    const to = Math.max(from + 1, Math.floor(((bar + 1) * length) / bars));
    let sum = 0;
    for (let pixel = from; pixel < to; pixel += 1) {
      sum += Math.max(-(extremes[2 * pixel] ?? 0), extremes[2 * pixel + 1] ?? 0, 0);
    }
    found[bar] = sum / (to - from) / 128;
  }
  // A quiet room is to be seen too, but a silent one is not made loud.
  const gain = 1 / Math.max(0.08, ...found);
  // The power sets phrases off from what lies between them.
  return found.map((height) => (height * gain) ** 1.5);
}
