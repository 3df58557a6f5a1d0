// One WHIP session (RFC 9725): a microphone's track to `POST /whip/{room}`, until somebody ends it.

import { iceServersOf } from "./link_header.js";
import { authorization } from "./token.js";

// Without servers to ask, candidates are there at once; a TURN server takes a moment. What comes later is not
// needed: the server learns where we are from our own checks (RFC 8445 7.3.1.3).
const GATHER_MS = 600;
const GATHER_FAR_MS = 2500;
const ANSWER_MS = 10_000;
// A room may live on another server than the page's own, and that one is asked by ours (RFC 7240): a redirect would
// lead to another origin, on the way to which browsers drop the token (Fetch, 4.4) and where a page may not ask (CSP).
// Sound goes there straight: the answer holds that server's addresses.
const PREFERENCE = { Prefer: "relay" };
const DELETE_MS = 3000;
// A hole in the radio network closes again, or it does not.
const HOLE_MS = 2500;

/** The server, or the way to it, said no. `status` 0: there was no answer; `retryAfter` in milliseconds. */
export class Refused extends Error {
  constructor(status, message, retryAfter = 0) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/**
 * @typedef {object} Wish
 * @property {string} url `/whip/ROOM?speaker=NAME`
 * @property {MediaStreamTrack} track
 * @property {number} maxBitrate bits a second
 * @property {number} patience milliseconds that ICE and DTLS may take
 * @property {AbortSignal} signal
 */

/**
 * Gives a function that opens sessions. It remembers the ICE servers that the endpoint names.
 *
 * @param {string | null} token
 * @param {typeof fetch} get
 * @returns {(wish: Wish) => Promise<WhipSession>} connected; rejects with Refused
 */
export function publisher(token, get) {
  let iceServers = [];
  return async function open(wish) {
    const used = iceServers;
    try {
      const { session, named } = await offer(wish, used, token, get);
      iceServers = named;
      // They are named only after the offer was made: whoever may need them makes another one.
      if (named.length === 0 || used.length > 0) return await session.connected(wish);
      session.close();
      const second = await offer(wish, named, token, get);
      return await second.session.connected(wish);
    } catch (error) {
      iceServers = []; // their passwords may have run out
      throw error;
    }
  };
}

async function offer({ url, track, maxBitrate, signal }, iceServers, token, get) {
  const peer = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
  try {
    const transceiver = peer.addTransceiver(track, {
      direction: "sendonly",
      streams: [new MediaStream([track])],
      sendEncodings: [{ maxBitrate, priority: "high", networkPriority: "high" }],
    });
    preferOpus(transceiver);
    await peer.setLocalDescription();
    await gathered(peer, iceServers.length === 0 ? GATHER_MS : GATHER_FAR_MS);
    const response = await post(url, peer.localDescription.sdp, token, get, signal);
    const place = new URL(response.headers.get("location") ?? "", new URL(url, location.href));
    const session = new WhipSession(peer, place, token, get);
    await peer.setRemoteDescription({ type: "answer", sdp: await response.text() }).catch((error) => {
      session.close();
      throw new Refused(422, `The server's answer makes no sense: ${error.message}`);
    });
    return { session, named: iceServersOf(response.headers.get("link")) };
  } catch (error) {
    peer.close();
    throw error instanceof Refused ? error : new Refused(0, said(error));
  }
}

function said(error) {
  // What fetch throws has other words in each browser, none of them for people.
  return ["TypeError", "TimeoutError"].includes(error.name) ? "The server does not answer." : error.message;
}

/** Only Opus: whatever else a browser offers with it is of no use here. */
function preferOpus(transceiver) {
  const codecs = RTCRtpSender.getCapabilities?.("audio")?.codecs ?? [];
  const opus = codecs.filter(({ mimeType }) => mimeType.toLowerCase() === "audio/opus");
  if (opus.length > 0) transceiver.setCodecPreferences?.(opus);
}

function gathered(peer, patience) {
  return new Promise((resolve) => {
    const look = () => { if (peer.iceGatheringState === "complete") resolve(); };
    peer.addEventListener("icegatheringstatechange", look);
    setTimeout(resolve, patience);
    look();
  });
}

async function post(url, sdp, token, get, signal) {
  const patience = AbortSignal.timeout(ANSWER_MS);
  const response = await get(url, {
    method: "POST",
    headers: { "Content-Type": "application/sdp", ...PREFERENCE, ...authorization(token) },
    body: sdp,
    signal: AbortSignal.any?.([signal, patience]) ?? patience,
  });
  if (response.status === 201) return response;
  const { error } = await response.json().catch(() => ({}));
  const pause = Number(response.headers.get("retry-after")) || 0;
  throw new Refused(response.status || 0, error ?? `The server answered ${response.status}.`, pause * 1000);
}

/** Events: "lost" (`detail.closed`: the server ended it; else the way to it broke). */
export class WhipSession extends EventTarget {
  #peer;
  #place;
  #token;
  #get;
  #over = false;
  // The server itself has ended it: there is nothing to delete any more.
  #ended = false;
  #hole = null;

  /** @param {RTCPeerConnection} peer @param {URL} place the session's resource, for DELETE */
  constructor(peer, place, token, get) {
    super();
    this.#peer = peer;
    this.#place = place;
    this.#token = token;
    this.#get = get;
    peer.addEventListener("connectionstatechange", () => this.#look());
  }

  /** This session once sound flows. Rejects with Refused, and closes it. */
  connected({ patience, signal }) {
    return new Promise((resolve, reject) => {
      const give = (error) => {
        this.close();
        reject(error);
      };
      const late = setTimeout(() => give(new Refused(0, "No way to the server was found for sound.")), patience);
      const look = () => {
        const { connectionState: state } = this.#peer;
        if (state === "connected") {
          clearTimeout(late);
          this.#watchForGoodbye();
          resolve(this);
        } else if (state === "failed" || state === "closed") {
          clearTimeout(late);
          give(new Refused(0, "No way to the server was found for sound."));
        }
      };
      this.#peer.addEventListener("connectionstatechange", look);
      signal?.addEventListener("abort", () => { clearTimeout(late); give(new Refused(0, "given up")); });
      look();
    });
  }

  /** Another microphone, without a new connection. @param {MediaStreamTrack | null} track */
  async replaceTrack(track) {
    await this.#peer.getSenders()[0]?.replaceTrack(track);
  }

  /** @param {number} bitsPerSecond */
  async limit(bitsPerSecond) {
    const [sender] = this.#peer.getSenders();
    const parameters = sender?.getParameters();
    if (!parameters?.encodings?.[0]) return;
    parameters.encodings[0].maxBitrate = bitsPerSecond;
    await sender.setParameters(parameters).catch(() => {}); // the rate is a wish
  }

  /** What is known of the connection: packets sent, those lost on the way (0…1), round trip in seconds. */
  async stats() {
    const known = { state: this.#peer.connectionState, packets: 0, loss: null, roundTrip: null };
    for (const row of (await this.#peer.getStats()).values()) {
      if (row.type === "outbound-rtp") known.packets = row.packetsSent ?? 0;
      if (row.type === "remote-inbound-rtp") known.loss = row.fractionLost ?? null;
      if (row.type === "candidate-pair" && row.nominated) known.roundTrip = row.currentRoundTripTime ?? null;
    }
    return known;
  }

  /** End it here and at the server. `DELETE` also when the page goes away this very moment. */
  close() {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#hole);
    // Silence at once. The peer's own goodbye comes after DELETE, or there would be nothing left to delete.
    this.#peer.getSenders()[0]?.replaceTrack(null).catch(() => {});
    this.#delete().then(() => this.#peer.close());
  }

  async #delete() {
    if (this.#ended) return;
    // The token is for the server that the page came from, whatever a Location says.
    const headers = this.#place.origin === location.origin ? authorization(this.#token) : {};
    const signal = AbortSignal.timeout(DELETE_MS);
    await this.#get(this.#place.href, { method: "DELETE", keepalive: true, headers, signal }).catch(() => {});
  }

  /** A server that ends a session closes DTLS; the peer connection itself does not say so (W3C webrtc-pc). */
  #watchForGoodbye() {
    const dtls = this.#peer.getSenders()[0]?.transport;
    dtls?.addEventListener("statechange", () => { if (dtls.state === "closed") this.#lose(true); });
    if (dtls?.state === "closed") queueMicrotask(() => this.#lose(true));
  }

  #look() {
    const { connectionState: state } = this.#peer;
    clearTimeout(this.#hole);
    if (state === "failed") this.#lose(false);
    if (state === "disconnected") this.#hole = setTimeout(() => this.#lose(false), HOLE_MS);
  }

  #lose(closed) {
    if (this.#over) return;
    this.#ended = closed;
    this.dispatchEvent(new CustomEvent("lost", { detail: { closed } }));
  }
}
