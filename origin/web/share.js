// The link of this page, to give away.

/**
 * By the system's own sheet on a phone, else to the clipboard, else as a field to copy from.
 *
 * @param {HTMLInputElement} field shown when nothing else is allowed (the clipboard needs a secure origin)
 * @param {HTMLElement} said a live region
 * @param {string} title
 */
export async function offerLink(field, said, title) {
  const url = location.origin + location.pathname;
  if (navigator.share && matchMedia("(pointer: coarse)").matches) {
    await navigator.share({ title, url }).catch(() => {}); // closing the sheet is an answer too
    return;
  }
  try {
    await navigator.clipboard.writeText(url);
    said.textContent = "Link copied";
    setTimeout(() => { said.textContent = ""; }, 4000);
  } catch {
    field.hidden = false;
    field.value = url;
    field.focus();
    field.select();
  }
}
