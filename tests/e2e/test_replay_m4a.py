"""`replay.m4a` in Chromium, sample for sample: as a whole, and after a seek."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from playwright.sync_api import Browser

from pipeline.grid import SAMPLE_RATE
from pipeline.replay.chapters import Mark
from tests.archived import Archived
from tests.audio import best_lag, seeded_noise

SAMPLES = 11 * SAMPLE_RATE + 77
# Decodes a file as a whole, then plays some of it from a second on, and gives both as 16-bit samples.
CHROMIUM = """async ([file, second]) => {
  const bytes = Uint8Array.from(atob(file), (char) => char.charCodeAt(0));
  const text = (floats) => {
    const pcm = Int16Array.from(floats, (x) => Math.max(-32768, Math.min(32767, Math.round(x * 32768))));
    let all = "";
    for (const byte of new Uint8Array(pcm.buffer)) all += String.fromCharCode(byte);
    return btoa(all);
  };
  const audio = new Audio(URL.createObjectURL(new Blob([bytes], { type: "audio/mp4" })));
  const context = new AudioContext({ sampleRate: 48000 });
  const ear = `registerProcessor("ear", class extends AudioWorkletProcessor {
    process([[sound]]) { if (sound) this.port.postMessage(sound.slice()); return true; }
  })`;
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([ear], { type: "text/javascript" })));
  const node = new AudioWorkletNode(context, "ear");
  const heard = [];
  const enough = new Promise((done) => {
    node.port.onmessage = ({ data }) => {
      if (heard.length || data.some((x) => x !== 0)) heard.push(...data);
      if (heard.length > 48000) done();
    };
  });
  context.createMediaElementSource(audio).connect(node).connect(context.destination);
  audio.currentTime = second;
  await new Promise((done) => (audio.onseeked = done));
  await context.resume();
  await audio.play();
  await enough;
  audio.pause();
  const whole = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(bytes.buffer);
  return [text(whole.getChannelData(0)), text(heard), audio.duration];
}"""


@pytest.mark.needs("chromium")
def test_chromium_plays_and_seeks_to_the_sample(browser: Browser) -> None:
    source = seeded_noise(SAMPLES, 5)
    file = Archived.of(source[:, None]).m4a([Mark(0, "a")])
    page = browser.new_page()
    page.route("**/*", lambda route: route.fulfill(body="", content_type="text/html"))
    page.goto("http://localhost/")
    decoded, played, duration = page.evaluate(CHROMIUM, [base64.b64encode(file).decode(), 7.25])
    assert duration == pytest.approx(SAMPLES / SAMPLE_RATE, abs=1e-5)
    whole, part = (np.frombuffer(base64.b64decode(each), np.int16) for each in (decoded, played))
    assert len(whole) == SAMPLES
    assert best_lag(source[SAMPLE_RATE : 2 * SAMPLE_RATE], whole).lag == SAMPLE_RATE
    # The first sample that is heard is the one that was sought.
    start = round(7.25 * SAMPLE_RATE)
    match = best_lag(source[start + 4_800 : start + SAMPLE_RATE // 2], part)
    assert match.lag - 4_800 == np.flatnonzero(part)[0]
