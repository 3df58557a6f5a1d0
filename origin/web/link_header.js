// ICE servers as a WHIP endpoint names them: `Link: <stun:…>; rel="ice-server"` (RFC 9725 4.6, RFC 8288 3).

const LINK = /<([^>]*)>((?:\s*;\s*[\w*-]+(?:\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s;,"]+))?)*)/g;
const PARAMETER = /;\s*([\w*-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+)))?/g;

/** @param {string | null} header several header fields are one, with commas between @returns {RTCIceServer[]} */
export function iceServersOf(header) {
  const servers = [];
  for (const [, uri, rest] of (header ?? "").matchAll(LINK)) {
    const parameters = {};
    for (const [, name, quoted, plain] of rest.matchAll(PARAMETER)) {
      parameters[name.toLowerCase()] ??= quoted?.replace(/\\(.)/g, "$1") ?? plain ?? "";
    }
    if (!(parameters.rel ?? "").split(/\s+/).includes("ice-server")) continue;
    if (!/^(stun|stuns|turn|turns):/i.test(uri)) continue;
    const { username, credential } = parameters;
    servers.push(username === undefined ? { urls: uri } : { urls: uri, username, credential });
  }
  return servers;
}
