// What the browser remembers for the next visit. Storage may be forbidden; the pages do without.

/** @param {string} key @returns {string | null} */
export function remembered(key) {
  try {
    return localStorage.getItem(`longwave.${key}`);
  } catch {
    return null;
  }
}

/** @param {string} key @param {string} value */
export function remember(key, value) {
  try {
    localStorage.setItem(`longwave.${key}`, value);
  } catch {
    // as above
  }
}
