// The frame around each picture: title, badge, message, buttons; when to draw, and whether anybody can see it.

import { page } from "./page.js";
import { palette } from "./colors.js";

/** Make an element: h("div", "class", attributes or properties, ...children). */
export function h(tag, name, options = {}, ...children) {
  const el = document.createElement(tag);
  if (name) el.className = name;
  for (const [key, value] of Object.entries(options)) {
    if (key in el && !key.startsWith("aria") && key !== "role") el[key] = value;
    else el.setAttribute(key, value);
  }
  el.append(...children);
  return el;
}

const ADVICE_S = 10; // without data, until it is said what to do
const READ_MS = 240; // the eye reads no faster

/** A function that runs `f` at once, but not again before one can have read what it wrote; the last call is never lost. */
export function unhurried(f) {
  let next = 0;
  let timer = 0;
  return () => {
    const wait = next - performance.now();
    clearTimeout(timer);
    if (wait > 0) return void (timer = setTimeout(run, wait));
    run();
  };
  function run() {
    next = performance.now() + READ_MS;
    f();
  }
}

export class Shell {
  constructor(el, stream) {
    this.stream = stream;
    this.drawn = 0;
    this.notBefore = 0;
    this.inSight = true;
    this.build(stream.options);
    el.append(this.root);
    this.theme();
    this.painter = new stream.kind.Painter(this, stream.store, stream.options);
    this.sight = new IntersectionObserver((entries) => {
      this.inSight = entries.at(-1).isIntersecting;
      this.dirty();
    });
    this.sight.observe(this.root);
    // Measured here, where the layout is the one that was told: one that a theme makes in passing is told no second time.
    this.size = new ResizeObserver(() => {
      this.painter.resize?.();
      this.dirty();
    });
    this.size.observe(this.body);
    page.add(this);
    this.aged();
    this.dirty();
  }

  build(options) {
    this.title = h("span", "ps-title", { textContent: options.title });
    this.slot = h("div", "ps-slot");
    this.age = h("span", "");
    const advice = h("span", "ps-advice", { hidden: true, textContent: ": its kernel is held up or has ended; if this stays so, run the cell again" });
    this.badge = h("span", "ps-stale", { hidden: true, role: "status" }, this.age, (this.advice = advice));
    const save = (label, what, title) =>
      h("button", "ps-button", { type: "button", textContent: label, title, onclick: () => this.save(what) });
    this.tools = h("span", "ps-tools", {}, save("PNG", "png", "Save the picture"), save("CSV", "csv", "Save the data on view"));
    this.head = h("div", "ps-head", {}, this.title, this.slot, this.tools);
    this.note = h("div", "ps-note", { hidden: true, role: "status" });
    this.body = h("div", "ps-body");
    this.root = h("div", `pairsim ps-${options.kind}`, { role: "group", "aria-label": options.title || options.kind }, this.head, this.note, this.body, this.badge);
  }

  dispose() {
    page.remove(this);
    this.sight.disconnect();
    this.size.disconnect();
    this.painter.dispose?.();
    this.root.remove();
  }

  /** Something has changed: draw soon, if anybody looks. */
  dirty() {
    if (this.inSight) page.draw(this);
  }

  drawNow() {
    if (!this.inSight || !this.root.isConnected) return;
    if (!this.colored) this.themed(); // a widget is made before it stands in the page, and has no style there
    try {
      this.painter.draw();
      this.root.dataset.drawn = ++this.drawn;
    } catch (error) {
      this.stream.fail(error);
    }
    this.root.dataset.sequence = this.stream.sequence;
    this.root.dataset.latency = Math.round(performance.timeOrigin + performance.now() - this.stream.at);
    this.showNote();
    this.aged();
  }

  showNote() {
    const { error, message } = this.stream;
    const [text, tone] = error ? [error, "bad"] : message;
    if (this.note.textContent !== text) this.note.textContent = text;
    this.note.dataset.tone = tone;
    this.note.hidden = !text;
  }

  /** Twice a second: how long nothing has been heard. */
  aged() {
    const { final, heardAt, options } = this.stream;
    const seconds = (performance.now() - heardAt) / 1000;
    const stale = !final && seconds > options.staleAfter;
    this.badge.hidden = !stale;
    if (stale) this.age.textContent = `no data for ${age(seconds)}`;
    this.advice.hidden = seconds < ADVICE_S;
    this.root.toggleAttribute("data-stale", stale);
    this.root.toggleAttribute("data-final", final);
  }

  themed() {
    this.theme();
    this.painter.themed?.();
    this.dirty();
  }

  theme() {
    this.root.classList.toggle("ps-dark", dark(this.root));
    this.colors = palette(this.root);
    this.colored = this.root.isConnected;
  }

  /** A PNG of the view, in the device's pixels. */
  picture() {
    return new Promise((resolve) => this.painter.picture().toBlob(resolve));
  }

  async save(what) {
    const blob = what === "png" ? await this.picture() : new Blob([this.painter.csv()], { type: "text/csv" });
    const link = h("a", "", { href: URL.createObjectURL(blob), download: `${this.title.textContent || "pairsim"}.${what}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}

const age = (s) => (s < 100 ? `${Math.floor(s)} s` : s < 6000 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h`);

/** Whether the background that shines through is dark, whatever theme made it so. */
function dark(el) {
  for (let at = el.parentElement; at; at = at.parentElement) {
    const [r, g, b, alpha = 1] = getComputedStyle(at).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [];
    if (alpha > 0 && r !== undefined) return 0.299 * r + 0.587 * g + 0.114 * b < 128;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}
