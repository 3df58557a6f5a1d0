// "Are you sure?" in the page's own dialog.

/**
 * @param {HTMLDialogElement} dialog with #confirm-text, #confirm-yes and #confirm-no in it
 * @param {string} question @param {string} yes what the button says that does it
 * @returns {Promise<boolean>}
 */
export function confirmed(dialog, question, yes) {
  const [text, no, go] = ["text", "no", "yes"].map((part) => dialog.querySelector(`#confirm-${part}`));
  text.textContent = question;
  go.textContent = yes;
  return new Promise((resolve) => {
    const done = new AbortController();
    const end = (answer) => {
      done.abort();
      dialog.close();
      resolve(answer);
    };
    go.addEventListener("click", () => end(true), { signal: done.signal });
    no.addEventListener("click", () => end(false), { signal: done.signal });
    // The escape key.
    dialog.addEventListener("close", () => end(false), { signal: done.signal });
    dialog.showModal();
    no.focus();
  });
}
