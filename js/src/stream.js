// The page's end of one view: what has come, whether something is missing, and the pictures (one for each output).

import { decode } from "./wire.js";
import { page } from "./page.js";
import { Shell } from "./shell.js";
import { Lines } from "./lines.js";
import { Candles } from "./candles.js";
import { Table } from "./table.js";
import { Tiles } from "./tiles.js";

const KINDS = { lines: Lines, candles: Candles, table: Table, tiles: Tiles };
const ASK_AGAIN_MS = 2000;

export class Stream {
  constructor(model) {
    this.model = model;
    this.options = model.get("_options");
    this.kind = KINDS[this.options.kind];
    this.store = new this.kind.Store(this.options);
    this.shells = new Set();
    this.sequence = -1;
    this.heardAt = performance.now();
    this.askedAt = -Infinity;
    this.message = ["", ""];
    this.error = "";
    this.final = false;
    // One message may carry those of several views, whichever brings it.
    this.onMessage = ({ for: names = [] }, buffers) => names.forEach((name, i) => page.streams.get(name)?.receive(buffers[i]));
    page.streams.set(this.options.id, this);
    this.onSnapshot = () => this.takeSnapshot();
    model.on("msg:custom", this.onMessage);
    model.on("change:_snapshot", this.onSnapshot);
    this.takeSnapshot();
    this.have(true);
  }

  dispose() {
    this.model.off("msg:custom", this.onMessage);
    this.model.off("change:_snapshot", this.onSnapshot);
    page.streams.delete(this.options.id);
    for (const shell of [...this.shells]) shell.dispose();
  }

  show(el) {
    const shell = new Shell(el, this);
    this.shells.add(shell);
    return () => {
      this.shells.delete(shell);
      shell.dispose();
    };
  }

  takeSnapshot() {
    const whole = this.model.get("_snapshot");
    if (whole?.byteLength) this.receive(whole);
  }

  receive(message) {
    try {
      const { header, arrays } = decode(message);
      this.heardAt = performance.now();
      this.at = header.at; // when the kernel sent it, ms since 1970
      if (header.what === "picture") return void this.sendPicture();
      this.take(header, arrays);
    } catch (error) {
      this.fail(error);
    }
    for (const shell of this.shells) shell.dirty();
  }

  take(header, arrays) {
    const { what, sequence } = header;
    this.message = header.message;
    this.final = header.final;
    if (what === "whole" && sequence >= this.sequence) {
      this.error = "";
      this.store.whole(header, arrays);
      this.sequence = sequence;
      this.missing = false;
    } else if (what === "change" && sequence > this.sequence) {
      // With a hole, what came is shown all the same: a kernel that runs a cell cannot send the whole now.
      this.missing ||= sequence > this.sequence + 1;
      this.missing = this.store.change(header, arrays) === false || this.missing;
      this.sequence = sequence;
    } else if (what === "alive") this.missing ||= sequence > this.sequence;
    if (this.missing) this.ask();
    this.have(false);
  }

  ask() {
    if (performance.now() < this.askedAt + ASK_AGAIN_MS) return;
    this.askedAt = performance.now();
    this.tell({ need: Math.max(0, this.sequence) });
  }

  have(atOnce) {
    page.have(this.options.kernel, this.model, this.options.id, Math.max(0, this.sequence), atOnce);
  }

  tell(content, buffers) {
    try {
      this.model.send(content, undefined, buffers);
    } catch (error) {
      console.debug("pairsim: the kernel cannot be told", error); // it has ended, or the notebook is being closed
    }
  }

  fail(error) {
    console.error("pairsim:", error);
    this.error = `This view failed: ${error?.message ?? error}. Run its cell again; the run itself is not touched.`;
  }

  async sendPicture() {
    const shell = [...this.shells].find(({ root }) => root.clientWidth > 0); // nobody sees those in a closed tab
    const blob = await shell?.picture();
    if (blob) this.tell({ picture: true }, [await blob.arrayBuffer()]);
  }
}
