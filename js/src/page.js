// What all views of a page share: turns for drawing, one beat for acknowledgements and age, one eye on the theme.
// Each view's code is a module of its own (anywidget loads it from a blob), so what is shared hangs on the window.

import { pressed } from "./keys.js";

const FRAME_MS = 1000 / 30 - 4; // at most thirty pictures a second; an animation frame more or less
const BUDGET_MS = 8; // of an animation frame for drawing: what is left over is drawn in the next one
const SHARE = 3; // a slow picture rests three times as long as it took
const BEAT_MS = 500;
const HAVE_MS = 2000;

class Page {
  constructor() {
    this.views = new Set();
    this.streams = new Map(); // by id
    this.queue = new Set();
    this.had = new Map(); // kernel -> { model, have: {id: sequence}, at }
    this.beat = 0;
    this.frame = 0;
    const { port1, port2 } = new MessageChannel(); // a task at once, where a timer may wait for 4 ms
    port1.onmessage = () => this.drawSome(0);
    this.turn = () => port2.postMessage(null);
    this.themes = () => {
      for (const wait of [0, 300]) setTimeout(() => this.views.forEach((view) => view.themed()), wait);
    };
    this.seen = () => this.views.forEach((view) => view.dirty());
  }

  add(view) {
    this.views.add(view);
    if (this.views.size > 1) return;
    this.observer = new MutationObserver(this.themes);
    const attributes = ["class", "data-jp-theme-name", "data-jp-theme-light", "data-vscode-theme-kind"];
    for (const each of [document.documentElement, document.body]) this.observer.observe(each, { attributes: true, attributeFilter: attributes });
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.scheme.addEventListener("change", this.themes);
    document.addEventListener("visibilitychange", this.seen);
    document.body.addEventListener("keydown", pressed);
    this.beat = setInterval(() => this.views.forEach((view) => view.aged()), BEAT_MS);
  }

  remove(view) {
    this.views.delete(view);
    this.queue.delete(view);
    if (this.views.size) return;
    this.observer.disconnect();
    this.scheme.removeEventListener("change", this.themes);
    document.removeEventListener("visibilitychange", this.seen);
    document.body.removeEventListener("keydown", pressed);
    clearInterval(this.beat);
  }

  /**
   * Let a view draw soon, unless nobody can see it: in a task of its own, so that neither a frame is late because several
   * views draw in it, nor one of them left for the next; or in an animation frame, if that comes first, as when one
   * scrolls, or when the view must rest.
   */
  draw(view) {
    if (document.hidden) return;
    this.queue.add(view);
    if (view.notBefore <= performance.now()) this.turn();
    this.nextFrame();
  }

  nextFrame() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.drawSome(BUDGET_MS);
    });
  }

  drawSome(budget) {
    const end = performance.now() + budget;
    for (const view of [...this.queue]) {
      const begun = performance.now();
      if (begun < view.notBefore) continue;
      this.queue.delete(view);
      view.drawNow();
      const now = performance.now();
      view.notBefore = begun + Math.max(FRAME_MS, SHARE * (now - begun));
      if (now >= end) break;
    }
    if (this.queue.size && !document.hidden) this.nextFrame();
  }

  /** Tell the kernel what a stream has: at once when it begins, else for all streams together every two seconds. */
  have(kernel, model, id, sequence, atOnce) {
    let known = this.had.get(kernel);
    if (!known) this.had.set(kernel, (known = { have: {}, timer: 0 }));
    known.model = model;
    known.have[id] = sequence;
    const wait = atOnce ? 0 : HAVE_MS;
    if (known.timer && !atOnce) return;
    clearTimeout(known.timer);
    known.timer = setTimeout(() => {
      this.had.delete(kernel);
      try {
        known.model.send({ have: known.have });
      } catch (error) {
        console.debug("pairsim: the kernel cannot be told", error);
      }
    }, wait);
  }
}

export const page = (globalThis[Symbol.for(`pairsim.views.${SOURCES}`)] ??= new Page());
