// The host's hand on the speaker's page: mute, remove, chapters, the end. What cannot be undone asks first.

import { confirmed } from "./confirm.js";

/**
 * Binds the host's form and button.
 *
 * @param {import("./room_api.js").RoomApi} api
 * @param {(id: string) => HTMLElement} $
 * @returns {{mute: (name: string) => void, unmute: (name: string) => void, remove: (name: string) => void}} for the
 *   list of people
 */
export function bindHost(api, $) {
  async function tell(asked, success) {
    const complaint = await asked;
    $("said").textContent = complaint === null ? success : `That did not work: ${complaint}.`;
    return complaint === null;
  }

  async function beginChapter() {
    const title = $("chapter-title").value.trim();
    if (title !== "" && await tell(api.chapter(title), `Chapter: ${title}`)) $("chapter-title").value = "";
  }

  async function end() {
    const question = "End the room for everybody? The recording ends here; who goes on air later begins a new one.";
    if (await confirmed($("confirm"), question, "End the room")) await tell(api.end(), "The room has ended.");
  }

  async function remove(name) {
    const question = `Remove ${name}? They cannot come back as long as this room goes on.`;
    if (await confirmed($("confirm"), question, "Remove")) await tell(api.remove(name), `${name} was removed.`);
  }

  $("chapter").addEventListener("submit", (event) => {
    event.preventDefault();
    beginChapter();
  });
  $("end").addEventListener("click", end);
  return {
    mute: (name) => tell(api.mute(name), `${name} is muted.`),
    unmute: (name) => tell(api.unmute(name), `${name} may be heard again.`),
    remove,
  };
}
