// Lines over time with a legend; up to eight names stand in the head, more in a list beside the chart.

import { AXIS, Range, airy, extent, options, paths, picture, rowAt, uPlot } from "./chart.js";
import { lineColor, lineDash } from "./colors.js";
import { History } from "./history.js";
import { csv, digitsFor, iso, number, time } from "./numbers.js";
import { Raster } from "./raster.js";
import { h, unhurried } from "./shell.js";

const IN_HEAD = 8;
const HEIGHT = 240;

class Store {
  constructor() {
    this.history = new History(4, 0);
    this.series = [];
    this.version = 0; // of the names: a painter builds anew when it changes
  }

  whole(header, { time: times, values }) {
    if (header.series.join("\n") !== this.series.join("\n")) this.version++;
    this.series = header.series;
    this.base = header.base.map((x) => x ?? 0);
    this.history = new History(header.capacity, header.series.length);
    this.history.append(times, values, this.base);
    this.history.total = header.total;
  }

  /** False when rows before these are missing. */
  change(header, { time: times, values }) {
    if (!times?.length) return true;
    const { history } = this;
    const hole = header.first > history.total;
    if (hole) history.gap(times[0]);
    if (hole) history.total = header.first;
    history.append(times, values, this.base, Math.min(times.length, history.total - header.first));
    return !hole;
  }
}

class Painter {
  constructor(shell, store, given) {
    Object.assign(this, { shell, store, given });
    this.range = new Range();
    this.raster = new Raster();
    this.hidden = new Set();
    this.builtFor = -1;
    if (given.unit) shell.title.dataset.unit = given.unit;
    shell.root.style.setProperty("--ps-height", `${HEIGHT}px`);
  }

  build() {
    const { shell, store } = this;
    this.dispose();
    this.builtFor = store.version;
    this.read = unhurried(() => this.readout());
    this.many = store.series.length > IN_HEAD;
    this.plot = h("div", "ps-plot");
    this.legend = h("div", this.many ? "ps-legend ps-list" : "ps-legend", { role: "group", "aria-label": "series" });
    this.items = store.series.map((name, k) => this.item(name, k));
    this.legend.append(...this.items.map((item) => item.el));
    this.moment = h("span", "ps-moment");
    this.plot.append(this.moment);
    shell.slot.replaceChildren(...(this.many ? [] : [this.legend]));
    shell.body.replaceChildren(this.plot, ...(this.many ? [this.legend] : []));
    const colors = () => shell.colors;
    const series = store.series.map((label, k) => ({
      label, paths: (...all) => (this.dense ? null : paths(...all)), points: { show: false }, width: this.many ? 1 : 1.5,
      stroke: () => lineColor(colors(), k), dash: lineDash(k), show: !this.hidden.has(label),
    }));
    const onZoom = (zoom) => {
      const { time: times, count } = store.history;
      this.range.set(zoom, times[count - 1]);
      shell.dirty();
    };
    const hooks = { drawAxes: [(u) => this.dense && this.drawDense(u)], setCursor: [() => this.readout()], setSeries: [(u, k) => this.focused(k)] };
    this.u = new uPlot(options({ colors, series, height: HEIGHT, hooks, focus: this.many, onZoom }), [[], ...series.map(() => [])], this.plot);
    this.resize();
  }

  item(name, k) {
    const value = h("span", "ps-value");
    const swatch = h("span", "ps-swatch");
    const el = h("button", "ps-item", {
      type: "button", title: `${name}: click to hide or show, shift-click to show it alone`,
      "aria-pressed": "true", onclick: (event) => this.toggle(k, event.shiftKey),
    }, swatch, h("span", "ps-name", { textContent: name }), value);
    el.onmouseenter = () => this.many && this.u.setSeries(k + 1, { focus: true });
    el.onmouseleave = () => this.many && this.u.setSeries(null, { focus: true });
    return { el, value, swatch };
  }

  toggle(k, alone) {
    const { series } = this.store;
    const only = alone && this.hidden.size !== series.length - 1;
    if (alone) this.hidden = new Set(only ? series.filter((_, j) => j !== k) : []);
    else if (!this.hidden.delete(series[k])) this.hidden.add(series[k]);
    series.forEach((name, j) => {
      this.items[j].el.setAttribute("aria-pressed", String(!this.hidden.has(name)));
      if (this.u.series[j + 1].show === this.hidden.has(name)) this.u.setSeries(j + 1, { show: !this.hidden.has(name) });
    });
    this.shell.dirty();
  }

  focused(k) {
    if (!this.many) return;
    if (this.marked) this.marked.classList.remove("ps-focus");
    this.marked = this.items[k - 1]?.el;
    this.marked?.classList.add("ps-focus");
    this.focus = this.marked ? k - 1 : null;
    this.readout();
  }

  resize() {
    if (!this.u) return;
    const { clientWidth: width, clientHeight: height } = this.plot; // higher where a neighbour's legend has more lines
    if (width > AXIS && (width !== this.u.width || height !== this.u.height)) this.u.setSize({ width, height });
  }

  draw() {
    const { store } = this;
    if (this.builtFor !== store.version) this.build();
    const { history } = store;
    const n = history.count;
    const times = history.time.subarray(0, n);
    const columns = history.columns.map((column) => column.subarray(0, n));
    const [from, to] = this.range.get(times[0], times[n - 1]);
    const shown = columns.filter((_, k) => !this.hidden.has(store.series[k]));
    this.rows = [Math.max(0, rowAt(times, n, from) - 1), Math.min(n, rowAt(times, n, to) + 1)];
    this.dense = this.rows[1] - this.rows[0] > this.u.bbox.width / 2;
    const y = airy(extent(shown, ...this.rows));
    this.digits = this.given.digits ?? Math.max(2, digitsFor(y[1] - y[0]));
    this.u.batch(() => {
      this.u.setData([times, ...columns], false);
      this.u.setScale("x", { min: from, max: to });
      this.u.setScale("y", { min: y[0], max: y[1] });
    });
    this.shell.body.toggleAttribute("data-empty", n === 0);
    this.read();
  }

  /** All lines as pixels: there are more points than a stroke can have. */
  drawDense(u) {
    const { history } = this.store;
    const { left, top, width, height } = u.bbox;
    const { x, y } = u.scales;
    const perX = width / (x.max - x.min);
    const perY = height / (y.max - y.min);
    const ratio = devicePixelRatio || 1;
    const columns = history.time.slice(...this.rows).map((ms) => Math.round((ms - x.min) * perX));
    this.raster.begin(width + 1, height + 1, columns);
    history.columns.forEach((column, k) => {
      const { show, alpha, width: css } = u.series[k + 1];
      if (!show) return;
      this.raster.line(column.subarray(...this.rows), height + 0.5 + y.min * perY, perY, {
        color: lineColor(this.shell.colors, k), alpha, width: css * ratio,
        dash: lineDash(k).map((part) => part * ratio), phase: 4 * k, // or the gaps of all lines would stand in columns
      });
    });
    this.raster.end(u.ctx, left, top);
  }

  /** Values under the pointer, or the last ones. */
  readout() {
    if (!this.u || this.builtFor !== this.store.version) return;
    const { history } = this.store;
    const pointed = this.u.cursor.left >= 0 ? this.u.cursor.idx : null;
    const row = pointed ?? history.count - 1;
    this.items.forEach(({ value, swatch }, k) => {
      const text = row < 0 ? "–" : number(history.columns[k][row], this.digits);
      if (value.textContent !== text) value.textContent = text;
      const color = lineColor(this.shell.colors, k);
      if (swatch.style.color !== color) swatch.style.color = color;
      const dashed = lineDash(k).length ? "dashed" : "solid";
      if (swatch.style.borderTopStyle !== dashed) swatch.style.borderTopStyle = dashed;
    });
    const focus = this.focus != null ? `${this.store.series[this.focus]} ${number(history.columns[this.focus][row], this.digits)}  ` : "";
    this.moment.textContent = pointed == null && !focus ? "" : `${focus}${time(history.time[row], { date: true, fraction: true })} UTC`;
  }

  themed() {
    this.readout();
  }

  dispose() {
    this.u?.destroy();
    this.u = null;
  }

  picture() {
    return picture(this.shell.root, [this.u], this.shell.title.textContent, this.shell.colors);
  }

  csv() {
    const { history, series } = this.store;
    const rows = [["timestamp", ...series]];
    for (let i = 0; i < history.count; i++) rows.push([iso(history.time[i]), ...history.columns.map((c) => c[i])]);
    return csv(rows);
  }
}

export const Lines = { Store, Painter };
