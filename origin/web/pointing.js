// A hand on a timeline: a mouse that looks, a click, a finger that draws along. Keys and screen readers use the range
// input that lies in it: that one has no touch to be hit with a finger on every phone.

/**
 * @param {HTMLElement} element as wide as the whole timeline
 * @param {object} hand
 * @param {() => number} hand.length in seconds
 * @param {(at: number | null, held: boolean) => void} hand.point where it points; null when it has gone
 * @param {(at: number) => void} hand.seek where it let go
 */
export function pointable(element, { length, point, seek }) {
  let held = null;

  function at({ clientX }) {
    const { left, width } = element.getBoundingClientRect();
    return Math.min(1, Math.max(0, (clientX - left) / width)) * length();
  }

  function leave() {
    held = null;
    point(null, false);
  }

  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    held = event.pointerId;
    element.setPointerCapture(held);
    point(at(event), true);
  });
  element.addEventListener("pointermove", (event) => {
    if (event.pointerId === held || (held === null && event.pointerType === "mouse")) point(at(event), held !== null);
  });
  element.addEventListener("pointerup", (event) => {
    if (event.pointerId !== held) return;
    seek(at(event));
    leave();
  });
  // The page is scrolled with this finger.
  element.addEventListener("pointercancel", leave);
  element.addEventListener("pointerleave", () => { if (held === null) leave(); });
}
