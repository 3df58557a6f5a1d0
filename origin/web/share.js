// A link to give away: of this page, or of something that belongs to it.

/**
 * By the system's own sheet on a phone, else to the clipboard, else as a field to copy from.
 *
 * @param {HTMLInputElement} field shown when nothing else is allowed (the clipboard needs a secure origin)
 * @param {HTMLElement} said a live region
 * @param {string} title
 * @param {{path?: string, hash?: string, done?: string}} what another address of this server; a place in the page; what
 *   is said when the link is copied
 */
export async function offerLink(field, said, title, { path = location.pathname, hash = "", done = "Link copied" } = {}) {
  const url = location.origin + path + (hash === "" ? "" : `#${hash}`);
  if (navigator.share && matchMedia("(pointer: coarse)").matches) {
    await navigator.share({ title, url }).catch(() => {}); // closing the sheet is an answer too
    return;
  }
  try {
    await navigator.clipboard.writeText(url);
    said.textContent = done;
    setTimeout(() => { if (said.textContent === done) said.textContent = ""; }, 4000);
  } catch {
    field.hidden = false;
    field.value = url;
    field.focus();
    field.select();
  }
}
