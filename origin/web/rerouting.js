// Every request of hls.js goes to where the room is listened to at that moment, while hls.js keeps its own idea of
// its addresses: MSNs and bytes are equal everywhere, so a listener moves from one base to another between two
// requests, and nothing is loaded or attached again. What is under way ends where it began.

// hls.js gives up on an answer after this and aborts it, as it does with what it no longer needs.
const GIVEN_UP_MS = 7500;
// When it tunes in, hls.js 1.7 has only some parts of its first segment. It asks for the last of them over and over,
// a thousand times a second from the browser's cache, until a playlist names the part after it, and has no time left
// to ask for that playlist. So what it has just got comes a little later the next time.
const REPEATED_MS = 40;

/**
 * Settings of hls.js.
 *
 * @param {typeof import("hls.js").default} Hls
 * @param {Pick<import("./place.js").Place, "address" | "base" | "report">} place
 */
export function rerouted(Hls, place) {
  class Loader extends Hls.DefaultConfig.loader {
    load(context, config, callbacks) {
      // hls.js resolves what a playlist names against the address that has answered, thinking of redirects.
      const onSuccess = (response, ...more) => callbacks.onSuccess({ ...response, url: context.url }, ...more);
      super.load(context, config, { ...callbacks, onSuccess });
    }
  }
  let last = null;
  // Called for each try, so that a retry, too, goes where one listens by then.
  const xhrSetup = async (xhr, url, context) => {
    if (context.frag && url === last) await new Promise((resolve) => { setTimeout(resolve, REPEATED_MS); });
    if (context.frag) last = url;
    const { pathname, search } = new URL(url);
    const { base } = place;
    xhr.open("GET", place.address(pathname + search), true);
    const begun = performance.now();
    xhr.addEventListener("load", () => place.report(base, xhr.status));
    xhr.addEventListener("error", () => place.report(base, 0));
    xhr.addEventListener("abort", () => { if (performance.now() - begun > GIVEN_UP_MS) place.report(base, 0); });
  };
  return { loader: Loader, xhrSetup };
}
