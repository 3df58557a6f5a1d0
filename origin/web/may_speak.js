// Whether the player leads to the speaker's page: for whoever has an invitation to speak in this tab, and on one's own
// machine, where everything is open for a first try.

import { onlyListens } from "./token.js";

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

/** @param {{hostname: string, token: string | null}} visit */
export function maySpeak({ hostname, token }) {
  if (onlyListens(token)) return false;
  return token !== null || LOOPBACK.test(hostname);
}
