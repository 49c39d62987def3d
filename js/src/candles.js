// Candlesticks, volume, indicators and fills; indicators with a pane of their own stand below, one pointer for all panes.

import { AXIS, Range, airy, extent, labels, options, paths, picture, roomFor, rowAt, uPlot } from "./chart.js";
import { lineColor } from "./colors.js";
import { csv, digitsFor, iso, number, time } from "./numbers.js";
import { h, unhurried } from "./shell.js";

const PRICE_HEIGHT = 300;
const PANE_HEIGHT = 96;
const SHOWN = 160; // candles in sight at first, fewer where they would be thinner than
const LEAST = 6; // px
const VOLUME_SHARE = 0.16;
const NAMES = ["O", "H", "L", "C", "V"];
const MOST_MARKS = 2000;

class Store {
  constructor() {
    this.time = [];
    this.rows = NAMES.map(() => []);
    this.lines = [];
    this.panes = [];
    this.marks = [];
    this.marked = 0;
    this.version = 0;
  }

  whole(header, arrays) {
    if (JSON.stringify(header.panes) !== JSON.stringify(this.panes)) this.version++;
    Object.assign(this, { panes: header.panes, window: header.window, title: header.title });
    this.time = [];
    this.rows = NAMES.map(() => []);
    this.lines = header.panes.map(() => []);
    this.marks = [];
    this.marked = header.first_mark;
    this.put(header, arrays);
  }

  change(header, arrays) {
    if (!arrays.time) return true;
    const hole = header.first_mark > this.marked;
    if (hole) this.marked = header.first_mark;
    this.put(header, arrays);
    return !hole;
  }

  put(header, { time: times, candles, mark_time, mark_price, mark_side, ...lines }) {
    const kept = rowAt(this.time, this.time.length, times[0] ?? Infinity);
    const cut = Math.max(0, kept + times.length - this.window);
    const renew = (column, added) => {
      column.length = kept;
      column.push(...added);
      column.splice(0, cut);
    };
    renew(this.time, times);
    this.rows.forEach((column, k) => renew(column, Array.from(times, (_, i) => candles[i * 5 + k])));
    this.lines.forEach((column, k) => renew(column, lines[`line${k}`]));
    for (let i = Math.max(0, this.marked - header.first_mark); i < header.labels.length; i++, this.marked++) {
      this.marks.push({ time: mark_time[i], price: mark_price[i], side: mark_side[i], label: header.labels[i] });
    }
    this.marks.splice(0, this.marks.length - MOST_MARKS);
  }
}

class Painter {
  constructor(shell, store) {
    Object.assign(this, { shell, store });
    this.range = new Range();
    this.key = `pairsim-${Math.random()}`;
    this.builtFor = -1;
    this.charts = [];
    this.lineDigits = []; // of each line, as its pane needs
  }

  build() {
    const { shell, store } = this;
    this.dispose();
    this.builtFor = store.version;
    this.read = unhurried(() => this.readout(this.charts[0]));
    this.readoutEl = h("span", "ps-readout", { "aria-live": "off" });
    shell.slot.replaceChildren(this.readoutEl);
    shell.body.replaceChildren();
    const names = [...new Set(store.panes.map(([, pane]) => pane).filter((pane) => pane !== "price"))];
    this.panes = ["price", ...names].map((pane) => ({
      pane, of: store.panes.map(([name, own], k) => ({ name, own, k })).filter(({ own }) => own === pane),
    }));
    this.charts = this.panes.map((pane, p) => this.chart(pane, p === this.panes.length - 1));
    this.resize();
  }

  chart({ pane, of }, bottom) {
    const { shell } = this;
    const colors = () => shell.colors;
    const el = h("div", "ps-plot");
    shell.body.append(el);
    if (pane !== "price") el.append(h("span", "ps-pane", { textContent: pane }));
    // A first line without a look of its own gives the price pane its scale when no indicator lies over it.
    const series = [{ paths: () => null, points: { show: false } }];
    series.push(...of.map(({ name, k }) => ({ label: name, paths, points: { show: false }, width: 1.25, stroke: () => lineColor(colors(), k) })));
    const hooks = { setCursor: [(u) => this.readout(u)] };
    if (pane === "price") hooks.drawAxes = [(u) => this.drawCandles(u)], hooks.draw = [(u) => this.drawLast(u), (u) => this.drawMarks(u)];
    const onZoom = (zoom) => {
      this.range.set(zoom, this.store.time.at(-1));
      this.everything = zoom === null && !this.everything;
      shell.dirty();
    };
    const height = (pane === "price" ? PRICE_HEIGHT : PANE_HEIGHT) + (bottom ? 22 : 0);
    // As wide as the tag of the last price, for all panes, so that they stand in line; names below the tag are left out.
    const size = (u, values) => Math.max(this.axis ?? AXIS, roomFor(values ?? [], colors().font));
    const below = (u, value) => Math.abs(u.valToPos(value, "y") - u.valToPos(this.store.rows[3].at(-1), "y")) < 14;
    const values = (u, splits, ...more) => labels(u, splits, ...more).map((text, i) => (below(u, splits[i]) ? "" : text));
    const y = pane === "price" ? { size, values } : { size, space: 22 };
    return new uPlot(options({ colors, series, height, xAxis: bottom, y, hooks, sync: this.key, onZoom }), [[], ...series.map(() => [])], el);
  }

  resize() {
    const width = this.shell.body.clientWidth;
    if (width > AXIS) for (const u of this.charts) if (u.width !== width) u.setSize({ width, height: u.height });
  }

  draw() {
    const { store } = this;
    if (this.builtFor !== store.version) this.build();
    if (store.title != null && this.shell.title.textContent !== store.title) this.shell.title.textContent = store.title;
    const { time: times, rows } = store;
    const n = times.length;
    this.step = n > 1 ? Math.min(...times.slice(-20).map((t, i, some) => (i ? t - some[i - 1] : Infinity))) : 60_000;
    const shown = Math.min(SHOWN, Math.floor((this.charts[0].width - AXIS) / LEAST));
    const first = this.everything ? times[0] : times[Math.max(0, n - shown)];
    const [from, to] = this.range.get(first - this.step, times[n - 1] + this.step);
    const a = rowAt(times, n, from);
    const b = Math.min(n, rowAt(times, n, to) + 1);
    this.shown = [a, b];
    const price = extent([rows[2], rows[1]], a, b);
    this.digits = digitsFor((price[1] - price[0]) * 0.2);
    this.axis = roomFor([number(rows[3][n - 1], this.digits)], `600 ${this.shell.colors.font}`);
    this.volumeDigits = digitsFor(extent([rows[4]], a, b)[1]);
    this.panes.forEach(({ pane, of }, p) => {
      const columns = of.map(({ k }) => store.lines[k]);
      const y = airy(pane === "price" ? lowered(extent([rows[2], rows[1], ...columns], a, b)) : extent(columns, a, b));
      const digits = pane === "price" ? this.digits : digitsFor(y[1] - y[0]);
      for (const { k } of of) this.lineDigits[k] = digits;
      this.charts[p].batch(() => {
        this.charts[p].setData([times, rows[3], ...columns], false);
        this.charts[p].setScale("x", { min: from, max: to });
        this.charts[p].setScale("y", { min: y[0], max: y[1] });
      });
    });
    this.shell.body.toggleAttribute("data-empty", n === 0);
    this.read();
  }

  drawCandles(u) {
    const { ctx, bbox } = u;
    const { rows, time: times } = this.store;
    const [a, b] = this.shown ?? [0, 0];
    const ratio = devicePixelRatio || 1;
    const perX = bbox.width / (u.scales.x.max - u.scales.x.min);
    const perY = bbox.height / (u.scales.y.max - u.scales.y.min);
    const y = (v) => bbox.top + bbox.height - (v - u.scales.y.min) * perY;
    const body = Math.max(1, Math.floor(this.step * perX * 0.7));
    const wick = Math.max(1, Math.min(Math.round(ratio), body));
    const [, most] = extent([rows[4]], a, b);
    const perVolume = most > 0 ? (bbox.height * VOLUME_SHARE) / most : 0;
    const floor = bbox.top + bbox.height;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const up of [true, false]) {
      const volumes = new Path2D();
      const bodies = new Path2D();
      for (let i = a; i < b; i++) {
        const [open, high, low, close, volume] = rows.map((column) => column[i]);
        if (close >= open !== up || close !== close) continue;
        const x = Math.round(bbox.left + (times[i] - u.scales.x.min) * perX);
        const left = x - (body >> 1);
        const [top, bottom] = [Math.round(y(Math.max(open, close))), Math.round(y(Math.min(open, close)))];
        volumes.rect(left, floor - volume * perVolume, body, volume * perVolume);
        bodies.rect(x - (wick >> 1), Math.round(y(high)), wick, Math.max(1, Math.round(y(low) - y(high))));
        bodies.rect(left, top, body, Math.max(1, bottom - top));
      }
      ctx.fillStyle = up ? this.shell.colors.up : this.shell.colors.down;
      ctx.globalAlpha = 0.22;
      ctx.fill(volumes);
      ctx.globalAlpha = 1;
      ctx.fill(bodies);
    }
    ctx.restore();
  }

  drawMarks(u) {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio || 1;
    const size = 5 * ratio;
    const { min, max } = u.scales.x;
    ctx.save();
    for (const mark of this.store.marks) {
      if (mark.time < min || mark.time > max) continue;
      const x = u.valToPos(mark.time, "x", true);
      const y = u.valToPos(mark.price, "y", true);
      if (y < bbox.top || y > bbox.top + bbox.height) continue;
      const way = mark.side > 0 ? 1 : -1; // a buy points up from below its price, a sell down from above
      ctx.beginPath();
      ctx.moveTo(x, y);
      ctx.lineTo(x - size, y + way * size * 1.7);
      ctx.lineTo(x + size, y + way * size * 1.7);
      ctx.closePath();
      ctx.fillStyle = mark.side > 0 ? this.shell.colors.up : this.shell.colors.down;
      ctx.strokeStyle = this.shell.colors.surface;
      ctx.lineWidth = 1.5 * ratio;
      ctx.stroke();
      ctx.fill();
    }
    ctx.restore();
  }

  /** The last price as a line and a label on the axis. */
  drawLast(u) {
    const { ctx, bbox } = u;
    const last = this.store.rows[3].at(-1);
    const { min, max } = u.scales.y;
    if (!(last >= min && last <= max)) return;
    const ratio = devicePixelRatio || 1;
    const { colors } = this.shell;
    const y = Math.round(u.valToPos(last, "y", true));
    const right = bbox.left + bbox.width;
    ctx.save();
    ctx.fillStyle = ctx.strokeStyle = last >= this.store.rows[0].at(-1) ? colors.up : colors.down;
    ctx.setLineDash([3 * ratio, 3 * ratio]);
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y + ratio / 2);
    ctx.lineTo(right, y + ratio / 2);
    ctx.stroke();
    ctx.beginPath();
    ctx.roundRect(right + 2 * ratio, y - 8 * ratio, (this.axis - 4) * ratio, 17 * ratio, 3 * ratio);
    ctx.fill();
    ctx.fillStyle = colors.surface;
    ctx.font = `600 ${11 * ratio}px ${getComputedStyle(this.shell.root).fontFamily}`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "left";
    ctx.fillText(number(last, this.digits), right + 6 * ratio, y + ratio);
    ctx.restore();
  }

  readout(u) {
    if (!u) return;
    const { time: times, rows, lines, panes } = this.store;
    const pointed = u.cursor.left >= 0 ? u.cursor.idx : null;
    const i = pointed ?? times.length - 1;
    if (i < 0 || !this.readoutEl) return;
    const up = rows[3][i] >= rows[0][i];
    const part = (name, text, color) => h("span", "ps-part", {}, h("i", "", { textContent: name, style: color ? `color:${color}` : "" }), text);
    const parts = NAMES.map((name, k) => part(name, number(rows[k][i], k < 4 ? this.digits : this.volumeDigits)));
    parts.forEach((el, k) => k < 4 && el.classList.add(up ? "ps-up" : "ps-down"));
    // The candle that forms has no indicators yet: what the last closed one has is what the strategy saw.
    const known = (column) => column[pointed == null && Number.isNaN(column[i]) ? i - 1 : i];
    parts.push(...panes.map(([name], k) => part(name, number(known(lines[k]), this.lineDigits[k]), lineColor(this.shell.colors, k))));
    const near = pointed == null ? [] : this.store.marks.filter((m) => Math.abs(m.time - times[i]) <= this.step / 2).slice(-3);
    parts.push(...near.map((m) => part(m.side > 0 ? "▲" : "▼", m.label, m.side > 0 ? "var(--ps-up)" : "var(--ps-down)")));
    this.readoutEl.replaceChildren(h("span", "ps-part ps-time", { textContent: `${time(times[i], { date: pointed != null })}` }), ...parts);
  }

  dispose() {
    for (const u of this.charts) u.destroy();
    this.charts = [];
  }

  picture() {
    return picture(this.shell.root, this.charts, this.shell.title.textContent, this.shell.colors);
  }

  csv() {
    const { time: times, rows, lines, panes } = this.store;
    const head = ["timestamp", "open", "high", "low", "close", "volume", ...panes.map(([name]) => name)];
    return csv([head, ...times.map((t, i) => [iso(t), ...[...rows, ...lines].map((column) => column[i])])]);
  }
}

/** Room below the prices for the volume. */
const lowered = ([low, high]) => [low - (high - low) * VOLUME_SHARE, high];

export const Candles = { Store, Painter };
