// Lets hls.js follow a live playlist without a browser. On stdin: {"multivariant": text, "steps": [{"": text, "YES": text,
// "v2": text}]}, what a media playlist says from one request to the next for each value of `_HLS_skip`. On stdout, for each
// step: the directives that hls.js sent, and what it then holds. The argument is the package's directory.

const steps = [];
const heard = [];

globalThis.self = globalThis;
globalThis.location = { href: "http://room.test/index.m3u8" };
globalThis.addEventListener ??= () => {};
globalThis.removeEventListener ??= () => {};
// Nothing is played, so that everything can be.
globalThis.MediaSource = class {
  static isTypeSupported() {
    return true;
  }
};

const { default: Hls, LoadStats } = await import(`${process.argv[2]}/dist/hls.mjs`);

let input = "";
for await (const chunk of process.stdin.setEncoding("utf8")) input += chunk;
const story = JSON.parse(input);

/** Answers from the story, one step a media playlist. */
class Storyteller {
  stats = new LoadStats();
  context = null;
  destroy() {}
  abort() {}
  load(context, _config, { onSuccess }) {
    this.context = context;
    const query = new URL(context.url).searchParams;
    let data = story.multivariant;
    if (context.type !== "manifest") {
      const step = story.steps[steps.length];
      if (step === undefined) return; // held for ever
      const skip = query.get("_HLS_skip") ?? "";
      steps.push({ asked: Object.fromEntries(query) });
      data = step[skip];
    }
    const now = performance.now();
    Object.assign(this.stats.loading, { start: now, first: now, end: now });
    setTimeout(() => onSuccess({ url: context.url, data, code: 200 }, this.stats, context, null));
  }
}

const hls = new Hls({ pLoader: Storyteller, fLoader: Storyteller, enableWorker: false, lowLatencyMode: true });
hls.on(Hls.Events.LEVEL_UPDATED, (_event, { details }) => {
  heard.push({
    ...steps[heard.length],
    skipped: details.skippedSegments,
    failed: Boolean(details.deltaUpdateFailed),
    segments: details.fragments.map((fragment) => fragment.sn),
    ranges: Object.fromEntries(
      Object.values(details.dateRanges).map((range) => [range.id, { ...range.attr, valid: range.isValid }]),
    ),
  });
  if (heard.length < story.steps.length) return;
  process.stdout.write(JSON.stringify(heard), () => process.exit(0));
});
hls.on(Hls.Events.ERROR, (_event, data) => {
  console.error(data.details, data.error?.message);
  process.exit(1);
});
hls.loadSource("http://room.test/index.m3u8");
