// A uPlot with our manners: UTC, ranges that know NaN, one path builder that draws a pixel column once, zoom by dragging.

import uPlot from "uplot";
import { digitsOf, number, time } from "./numbers.js";

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, ...[1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((m) => m * MINUTE), ...[1, 2, 5, 10, 30, 90, 365].map((d) => d * DAY)];
const LEFT = 8; // px beside the plot
const HALF = 3.4; // px, of a digit
const span = (u, low, high) => (Number.isFinite(low) && low < high ? [low, high] : [0, 1]);

export const AXIS = 68; // px, at least

/** The names of values on an axis. */
export const labels = (u, splits, k, space, step) => splits.map((value) => number(value, digitsOf(step)));

const pen = document.createElement("canvas").getContext("2d");

/** How wide an axis must be for what stands on it, px. */
export function roomFor(texts, font) {
  pen.font = font;
  return Math.max(AXIS, ...texts.map((text) => Math.ceil(pen.measureText(text).width) + 12));
}

/** Options of a chart; `colors` is asked at every drawing, so that a theme may change. */
export function options({ colors, series, height, xAxis = true, y = {}, hooks = {}, sync, focus = false, onZoom }) {
  const axis = {
    stroke: () => colors().muted,
    grid: { stroke: () => colors().grid, width: 1 },
    ticks: { show: false },
    font: colors().font,
  };
  const moment = (ms, step) => (step >= DAY ? time(ms, { date: true }).slice(0, 10) : time(ms, { fraction: step < 1000 }).slice(0, step < MINUTE ? undefined : 5));
  // A name that would stand out at the left is left out: half of one reads as another time.
  const times = (u, splits, k, space, step) =>
    splits.map((ms) => moment(ms, step)).map((text, i) => (u.valToPos(splits[i], "x") < text.length * HALF - LEFT ? "" : text));
  const size = (u, values) => roomFor(values ?? [], colors().font);
  return {
    width: 300,
    height,
    ms: 1,
    padding: [8, 0, xAxis ? 0 : 4, LEFT],
    legend: { show: false },
    series: [{}, ...series],
    scales: { x: { time: true, auto: false, range: span }, y: { auto: false, range: span } },
    axes: [
      { ...axis, show: xAxis, size: 22, gap: 4, space: 84, incrs: STEPS, splits: (u, k, low, high, step) => marks(low, high, step), values: times },
      { ...axis, side: 1, size, gap: 6, space: 32, values: labels, ...y },
    ],
    cursor: {
      drag: { x: true, y: false, setScale: false, dist: 6 },
      points: { show: false },
      focus: { prox: focus ? 30 : -1 },
      sync: sync && { key: sync, setSeries: false },
      bind: { dblclick: (u) => () => onZoom(null) },
    },
    focus: { alpha: focus ? 0.25 : 1 },
    hooks: {
      ...hooks,
      setSelect: [
        (u) => {
          if (u.select.width < 6) return;
          onZoom([u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")]);
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        },
      ],
    },
  };
}

/** Round moments (UTC) between two times. */
function marks(low, high, step) {
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high; at += step) found.push(at);
  return found;
}

/** Lowest and highest number of columns in rows from..to; NaN is none. */
export function extent(columns, from, to) {
  let low = Infinity;
  let high = -Infinity;
  for (const column of columns) {
    for (let i = from; i < to; i++) {
      const v = column[i];
      if (v < low) low = v;
      if (v > high) high = v;
    }
  }
  return [low, high];
}

/** A range with some air around it. */
export function airy([low, high], share = 0.06) {
  if (!(low <= high)) return [0, 1];
  const air = (high - low) * share || Math.abs(high) * 1e-4 || 1;
  return [low - air, high + air];
}

/** The first row of an ascending column that is not before a value. */
export function rowAt(column, count, value) {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (column[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What is in sight: all of it, or a zoomed part; one zoomed to the right edge moves on with the data. */
export class Range {
  constructor() {
    this.zoom = null;
  }
  set(zoom, last) {
    this.zoom = zoom && { from: zoom[0], to: zoom[1], follows: zoom[1] >= last };
  }
  get(first, last) {
    if (!(first < last)) return [(first || 0) - MINUTE, (first || 0) + MINUTE];
    if (!this.zoom) return [first, last];
    const { from, to, follows } = this.zoom;
    return follows ? [last - (to - from), last] : [from, to];
  }
}

/** uPlot path builder: in each pixel column from its first value over lowest and highest to its last; NaN breaks. */
export function paths(u, k, i0, i1) {
  const [x, y] = [u.data[0], u.data[k]];
  const { left, top, width, height } = u.bbox;
  const { x: sx, y: sy } = u.scales;
  const perX = width / (sx.max - sx.min);
  const perY = height / (sy.max - sy.min);
  const path = new Path2D();
  let open = false;
  let column = 0;
  let low = 0;
  let high = 0;
  let last = 0;
  const leave = () => {
    if (high > low) path.lineTo(column, low), path.lineTo(column, high), path.lineTo(column, last);
  };
  for (let i = Math.max(0, i0 - 1), end = Math.min(x.length - 1, i1 + 1); i <= end; i++) {
    const v = y[i];
    if (v !== v) {
      if (open) leave();
      open = false;
      continue;
    }
    const px = Math.round(left + (x[i] - sx.min) * perX);
    const py = top + height - (v - sy.min) * perY;
    if (open && px === column) {
      if (py < low) low = py;
      if (py > high) high = py;
    } else {
      if (open) leave(), path.lineTo(px, py);
      else path.moveTo(px, py), path.lineTo(px, py);
      open = true;
      column = px;
      low = high = py;
    }
    last = py;
  }
  if (open) leave();
  return { stroke: path, fill: null, clip: null, band: null, gaps: null, flags: 1 };
}

/** Several charts one below the other as one canvas, on the colour of the page. */
export function picture(root, charts, title, colors) {
  const ratio = devicePixelRatio || 1;
  const head = 24 * ratio;
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(...charts.map((u) => u.ctx.canvas.width));
  canvas.height = head + charts.reduce((sum, u) => sum + u.ctx.canvas.height, 0);
  const ctx = canvas.getContext("2d");
  ctx.fillStyle = colors.surface;
  ctx.fillRect(0, 0, canvas.width, canvas.height);
  ctx.fillStyle = colors.text;
  ctx.font = `600 ${13 * ratio}px ${getComputedStyle(root).fontFamily}`;
  ctx.fillText(title, 8 * ratio, 17 * ratio);
  let y = head;
  for (const u of charts) {
    ctx.drawImage(u.ctx.canvas, 0, y);
    y += u.ctx.canvas.height;
  }
  return canvas;
}

export { uPlot };
