// Runs in the page before its own scripts: hears what the page plays or its microphone, and notes every media body
// that it loads.
"use strict";

(() => {
  const WORKLET = `
    registerProcessor("ear", class extends AudioWorkletProcessor {
      #batch = new Float32Array(4096);
      #filled = 0;
      #at = 0;
      process([[channel]]) {
        if (this.#filled === 0) this.#at = Date.now();
        // No channel: the element has nothing to play at the moment.
        if (channel) this.#batch.set(channel, this.#filled);
        else this.#batch.fill(0, this.#filled, this.#filled + 128);
        this.#filled += 128;
        if (this.#filled === this.#batch.length) {
          this.port.postMessage({ at: this.#at, samples: this.#batch });
          this.#filled = 0;
        }
        return true;
      }
    });`;

  const chunks = [];
  const bodies = [];
  let context = null;
  let rate = 0;

  async function listenTo(source) {
    context = source.context;
    rate = context.sampleRate;
    if (window.policyHolds) {
      const tap = new MediaStreamAudioDestinationNode(context, { channelCount: 1, channelCountMode: "explicit" });
      source.connect(tap);
      hear(tap.stream.getAudioTracks()[0]);
      return;
    }
    await context.audioWorklet.addModule(URL.createObjectURL(new Blob([WORKLET], { type: "text/javascript" })));
    const ear = new AudioWorkletNode(context, "ear", { channelCount: 1, channelCountMode: "explicit" });
    ear.port.onmessage = ({ data }) => chunks.push(data);
    source.connect(ear).connect(context.destination); // it puts out silence; connected, it is kept running
  }

  const connect = AudioContext.prototype.createMediaElementSource;
  AudioContext.prototype.createMediaElementSource = function hooked(element) {
    const source = connect.call(this, element);
    listenTo(source);
    return source;
  };

  // On a page to speak from it hears the microphone: whichever the page has opened last.
  let microphone = null;
  const devices = navigator.mediaDevices;
  const open = devices?.getUserMedia.bind(devices);
  if (open) {
    devices.getUserMedia = async (...wishes) => {
      const stream = await open(...wishes);
      [microphone] = stream.getAudioTracks();
      hear(microphone, (track) => track === microphone);
      return stream;
    };
  }

  // The track as it is captured, with the instants at which it was: an AudioContext would hear it some
  // milliseconds later, and not always as many. A page that is busy for seconds loses nothing.
  async function hear(track, wanted = () => true) {
    const frames = new MediaStreamTrackProcessor({ track, maxBufferSize: 1000 }).readable.getReader();
    for (;;) {
      const { value: frame, done } = await frames.read();
      if (done || !wanted(track)) return;
      const samples = new Float32Array(frame.numberOfFrames);
      frame.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      rate = frame.sampleRate;
      chunks.push({ at: performance.timeOrigin + frame.timestamp / 1000, samples });
      frame.close();
    }
  }

  const forbidden = [];
  document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
    forbidden.push(`${effectiveDirective} ${blockedURI}`);
  });

  const send = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function noted(...body) {
    this.addEventListener("load", async () => {
      if (this.status !== 200 || !(this.response instanceof ArrayBuffer)) return;
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", this.response));
      bodies.push([this.responseURL, Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("")]);
    });
    return send.apply(this, body);
  };

  function base64(samples) {
    const pcm = Int16Array.from(samples, (x) => Math.max(-32768, Math.min(32767, Math.round(x * 32768))));
    let text = "";
    for (const byte of new Uint8Array(pcm.buffer)) text += String.fromCharCode(byte);
    return btoa(text);
  }

  window.ear = {
    /** What was heard since the last call: [[milliseconds since 1970, s16le samples in base64], …] */
    take: () => ({
      rate,
      // From the graph to the loudspeaker. A microphone's sound is dated when it is captured.
      latency: (context?.baseLatency ?? 0) + (context?.outputLatency ?? 0),
      chunks: chunks.splice(0).map(({ at, samples }) => [at, base64(samples)]),
    }),
    bodies,
    forbidden,
  };
})();
