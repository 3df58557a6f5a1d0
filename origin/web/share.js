// A link to give away: of this page, or of something that belongs to it.

export const NEEDS_INVITATION = "Others need an invitation of their own.";

/**
 * By the system's own sheet on a phone, else to the clipboard, else as a field to copy from.
 *
 * @param {HTMLInputElement} field shown when nothing else is allowed (the clipboard needs a secure origin)
 * @param {HTMLElement} said a live region
 * @param {string} title
 * @param {object} what
 * @param {string} [what.path] another address of this server @param {string} [what.hash] a place in the page
 * @param {string} [what.done] what is said when the link is copied
 * @param {string} [what.note] what else whoever shares should know
 */
export async function offerLink(field, said, title, what = {}) {
  const { path = location.pathname, hash = "", done = "Link copied", note = "" } = what;
  const url = location.origin + path + (hash === "" ? "" : `#${hash}`);
  const tell = (text) => { said.textContent = [text, note].filter((one) => one !== "").join(". "); };
  if (note !== "") tell("");
  if (navigator.share && matchMedia("(pointer: coarse)").matches) {
    await navigator.share({ title, url }).catch(() => {}); // closing the sheet is an answer too
    return;
  }
  try {
    await navigator.clipboard.writeText(url);
    tell(done);
    const now = said.textContent;
    setTimeout(() => { if (said.textContent === now) said.textContent = ""; }, note === "" ? 4000 : 8000);
  } catch {
    field.hidden = false;
    field.value = url;
    field.focus();
    field.select();
  }
}
