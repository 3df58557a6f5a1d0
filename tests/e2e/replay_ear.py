"""Seeking in Chromium: an audio element on a replay, and what comes out of it after every seek."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, Request

from pipeline.pcm import Pcm

# `player` has an audio element behind a worklet, which gives away all that is played. A page of this server,
# so that its media may be listened to.
_PLAYER = """async ({ address, hls, channels }) => {
  const context = new AudioContext({ sampleRate: 48000 });
  const ear = `registerProcessor("ear", class extends AudioWorkletProcessor {
    process([sound]) { this.port.postMessage(sound.map((each) => each.slice())); return true; }
  })`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([ear], { type: "text/javascript" })));
  const node = new AudioWorkletNode(context, "ear", {
    channelCount: channels, channelCountMode: "explicit", channelInterpretation: "discrete",
  });
  const audio = new Audio();
  audio.crossOrigin = "anonymous";
  const ready = new Promise((done, failed) => {
    audio.onloadedmetadata = done;
    audio.onerror = () => failed(new Error(audio.error.message));
  });
  if (hls) {
    const { default: Hls } = await import("/assets/hls.mjs");
    const engine = new Hls();
    engine.on(Hls.Events.ERROR, (_, { fatal, details }) => { if (fatal) audio.dataset.trouble = details; });
    engine.loadSource(address);
    engine.attachMedia(audio);
  } else {
    audio.src = address;
  }
  await ready;
  context.createMediaElementSource(audio).connect(node).connect(context.destination);
  await context.resume();
  const sounds = (blocks) => blocks.length && blocks.some((each) => each.some((x) => x !== 0));
  const listen = (enough) => new Promise((done) => {
    const heard = [];
    node.port.onmessage = ({ data }) => {
      if (heard.length || sounds(data)) heard.push(data);
      if (enough(heard, data)) { node.port.onmessage = null; done(heard); }
    };
  });
  const text = (heard) => {
    const pcm = new Int16Array(heard.length * 128 * channels);
    let at = 0;
    for (const block of heard)
      for (let i = 0; i < 128; i++)
        for (let c = 0; c < channels; c++)
          pcm[at++] = Math.max(-32768, Math.min(32767, Math.round((block[c]?.[i] ?? 0) * 32768)));
    let all = "";
    for (const byte of new Uint8Array(pcm.buffer)) all += String.fromCharCode(byte);
    return btoa(all);
  };
  window.player = {
    audio,
    // Plays from `second` on, for `blocks` of 128 samples from the first sound on.
    async from(second, blocks) {
      const sought = new Promise((done) => (audio.onseeked = done));
      audio.currentTime = second;
      await sought;
      const playing = listen((heard) => heard.length >= blocks);
      await audio.play();
      const heard = await playing;
      audio.pause();
      // What was on its way is no part of what the next seek leads to.
      let quiet = 0;
      await listen((_, data) => (quiet = sounds(data) ? 0 : quiet + 1) > 20);
      return text(heard);
    },
  };
  return audio.duration;
}"""


class Player:
    """An audio element in a page; `duration` is what it says, in seconds, `requests` all that was asked."""

    def __init__(self, page: Page, channels: int) -> None:
        self._page, self._channels = page, channels
        self.duration = 0.0
        self.requests: list[Request] = []
        page.on("request", self._asked)

    def open(self, address: str, *, hls: bool) -> None:
        """Load it; returns when its length is known."""
        given = {"address": address, "hls": hls, "channels": self._channels}
        self.duration = self._page.evaluate(_PLAYER, given)

    def after_seek(self, second: float, samples: int) -> Pcm:
        """Shape (n, channels): at least so much, from the first sample on that is not zero."""
        text: Any = self._page.evaluate(
            "([second, blocks]) => player.from(second, blocks)", [second, -(-samples // 128)]
        )
        heard: Pcm = np.frombuffer(base64.b64decode(text), np.int16).reshape(-1, self._channels)
        return heard

    def _asked(self, request: Request) -> None:
        self.requests.append(request)


@contextmanager
def playing(browser: Browser, server: str, address: str, *, channels: int, hls: bool) -> Iterator[Player]:
    """`address` in an audio element; with `hls` through the hls.js that the pages have."""
    context = browser.new_context(bypass_csp=True)
    try:
        page = context.new_page()
        page.goto(f"{server}/healthz")
        player = Player(page, channels)
        player.open(address, hls=hls)
        yield player
    finally:
        context.close()
