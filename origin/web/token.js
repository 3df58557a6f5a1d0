// The token that an invitation brings along: `/speak/ROOM#token=…`. A fragment is never sent to a server, nor
// named in a Referer; out of the address bar, it is not in a screenshot or a copied link either.

/**
 * Take the token out of the address and keep it as long as this tab lives.
 *
 * @param {string} room tokens are good for one room
 * @param {{location: Location, history: History, sessionStorage: Storage}} tab `window`
 * @param {"token" | "listen"} name an invitation (a JWT), or a bare listen token: `#listen=KID.EXPIRY.MAC`
 * @returns {string | null}
 */
export function takeToken(room, tab, name = "token") {
  const { location, history } = tab;
  const fragment = new URLSearchParams(location.hash.slice(1));
  const brought = fragment.get(name);
  if (brought !== null) {
    fragment.delete(name);
    const rest = String(fragment);
    history.replaceState(null, "", location.pathname + location.search + (rest === "" ? "" : `#${rest}`));
  }
  const key = `longwave.${name}.${room}`;
  try {
    if (brought) tab.sessionStorage.setItem(key, brought);
    return brought || tab.sessionStorage.getItem(key);
  } catch {
    return brought || null; // storage may be forbidden: the token then lives as long as the page
  }
}

/**
 * What a token says of itself (RFC 7519): only to show it. Whether it is true, the server knows.
 *
 * @param {string | null} token
 * @returns {{role?: string, room?: string, name?: string, exp?: number}}
 */
export function claims(token) {
  const payload = token?.split(".")[1] ?? "";
  try {
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
    const said = JSON.parse(new TextDecoder().decode(bytes));
    return typeof said === "object" && said !== null ? said : {};
  } catch {
    return {}; // a plain secret is a token too
  }
}

/** @param {string | null} token @param {number} now milliseconds since 1970 */
export function expired(token, now) {
  const { exp } = claims(token);
  return typeof exp === "number" && exp * 1000 <= now;
}

/** Whether it invites to listen and to nothing else. @param {string | null} token */
export function onlyListens(token) {
  return claims(token).role === "listener";
}

/** @param {string | null} token @returns {Record<string, string>} */
export function authorization(token) {
  return token === null ? {} : { Authorization: `Bearer ${token}` };
}
