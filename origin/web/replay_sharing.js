// What can be taken away from a replay: links to it, to a moment of it, to its room and to the room's feed.

import { momentHash } from "./moment.js";
import { NEEDS_INVITATION, offerLink } from "./share.js";
import { clock } from "./words.js";

const FEED_COPIED = "Copied: paste it into a podcast app";

/**
 * @param {(id: string) => HTMLElement} $
 * @param {string} room
 * @param {object} page
 * @param {() => (import("./replay_source.js").Replay | null)} page.replay
 * @param {() => number} page.position seconds
 */
export function bindLinks($, room, { replay, position }) {
  const note = () => (replay()?.private ? NEEDS_INVITATION : "");
  $("room").href = `/listen/${encodeURIComponent(room)}`;
  $("feed").href = `/feeds/${encodeURIComponent(room)}.xml`;
  // A feed is for apps: a listener who presses gets its address, not XML in place of the player.
  $("feed").addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    offerLink($("link"), $("said"), replay()?.roomTitle || room, { path: $("feed").pathname, done: FEED_COPIED });
  });
  $("share").addEventListener("click", () => offerLink($("link"), $("said"), document.title, { note: note() }));
  $("share-here").addEventListener("click", () => {
    const at = position();
    const what = { hash: momentHash(at), done: `Link to ${clock(at)} copied`, note: note() };
    offerLink($("link"), $("said"), document.title, what);
  });
}
