// How the sound of a replay gets into the page: from its address, or fetched as a whole by who may show a token.

import { seconds } from "./seconds.js";

// Where everybody is let in, as on one's own machine, any token is a host's.
export const ANY_TOKEN = "host";
const AGAIN_MS = 8000;

export class ReplaySound {
  /** How much of a sound that is fetched is there, 0 to 1; null while nothing is being fetched. */
  progress = null;
  #sound;
  #source;
  #admission;
  #download;
  #changed;
  // Whether the sound is loaded from where it lies, and not fetched as a whole.
  #addressed = false;

  /**
   * @param {import("./sound.js").Sound} sound
   * @param {import("./replay_source.js").ReplaySource} source
   * @param {import("./admission.js").Admission} admission
   * @param {{link: HTMLAnchorElement, name: string}} download where the file is to be had, and its name
   * @param {() => void} changed there is some progress
   */
  constructor(sound, source, admission, download, changed) {
    this.#sound = sound;
    this.#source = source;
    this.#admission = admission;
    this.#download = download;
    this.#changed = changed;
  }

  /** @param {{published: boolean, private: boolean}} replay */
  async load(replay) {
    // A host sees by their own token what is private.
    this.#addressed = replay.published && (!replay.private || await this.#source.sign(seconds()));
    this.#download.link.href = this.#source.m4a;
    if (this.#addressed) this.#sound.load(this.#source.m4a);
    else await this.#fetch();
  }

  /** The address of a private replay changes with the token; somebody may press play for as long as the page is open. */
  async renew(ready) {
    const { prefix } = this.#admission;
    await this.#admission.tend(seconds());
    if (!this.#addressed || this.#admission.prefix === prefix || !ready()) return;
    this.#download.link.href = this.#source.m4a;
    this.#sound.readdress(this.#source.m4a);
  }

  /** An audio element cannot show a token: what is not public is fetched as a whole. */
  async #fetch() {
    if (!this.#source.opened) this.#source.show(ANY_TOKEN);
    try {
      const url = await this.#source.sound((done) => {
        this.progress = done;
        this.#changed();
      });
      this.#download.link.href = url;
      this.#download.link.download = this.#download.name;
      this.#sound.load(url);
    } catch {
      setTimeout(() => this.#fetch(), AGAIN_MS);
    }
    this.progress = null;
  }
}
