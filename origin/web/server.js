// Where hosts and invitations are known. A page may come from an edge, which passes on nothing of that.

/** @returns {string} its address, or "" for where the page comes from */
export function server(page = document) {
  return page.querySelector("meta[name=longwave-server]")?.content ?? "";
}
