// The explorer's chart: panes of candles, lines and marks on one canvas; what it draws comes as one picture from Python.
// Rule: it decides nothing about data. The wheel, a drag, the arrow keys and a double click ask Python for another span.
// Nothing is drawn while the page is hidden; colours follow the page's own text colour, so any theme is right.

const AXIS = 76; // pixels of the price axis on the right
const FOOT = 24; // of the time axis
const GAP = 10; // between panes
const MARK = 4.5; // half a fill's triangle
const CROWD = 80; // marks from which on they are smaller and have no rim
const DARK_BELOW = 0.5; // luminance of the text above which the page is dark
const PALE = 0.7; // of a colour that cannot be read on white

function render({ model, el }) {
  const canvas = document.createElement("canvas");
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "candles with fills, indicators, equity and drawdown; arrows move, + and - zoom");
  canvas.style.cssText = "width:100%;height:560px;display:block;touch-action:none;cursor:crosshair;outline-offset:-1px";
  el.appendChild(canvas);
  const state = { picture: null, pointer: null, drag: null, due: false, drawn: 0 };

  const redraw = () => {
    if (state.due) return;
    state.due = true;
    requestAnimationFrame(() => {
      state.due = false;
      draw(canvas, el, state);
      canvas.dataset.drawn = String((state.drawn += 1));
      if (state.picture && state.picture.fresh) {
        state.picture.fresh = false;
        model.send({ kind: "drawn", sequence: state.picture.sequence });
      }
    });
  };
  const read = () => {
    state.picture = pictureOf(model);
    redraw();
  };
  // Both traits come in one message; whichever event is the last sees both.
  model.on("change:described", read);
  model.on("change:numbers", read);
  const stopListening = listen(canvas, model, state, redraw);
  const sized = new ResizeObserver(redraw);
  sized.observe(canvas);
  const themed = new MutationObserver(redraw);
  themed.observe(document.body, { attributes: true });
  themed.observe(document.documentElement, { attributes: true });
  read();
  return () => {
    model.off("change:described", read);
    model.off("change:numbers", read);
    sized.disconnect();
    themed.disconnect();
    stopListening();
  };
}

// --- the picture -----------------------------------------------------------------------------------------------------

function pictureOf(model) {
  const described = model.get("described");
  const view = model.get("numbers");
  if (!described || !described.panes || !view || !view.byteLength) return null;
  const numbers = new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const panes = described.panes.map((pane) => ({
    ...pane,
    series: pane.series.map((series) => ({ ...series, columns: columnsOf(series, numbers) })),
  }));
  return { ...described, panes, fresh: true };
}

function columnsOf(series, numbers) {
  const count = series.kind === "candles" ? 5 : 2;
  return Array.from({ length: count }, (_, k) => {
    const from = series.at + k * series.length;
    return numbers.subarray(from, from + series.length);
  });
}

// --- what a user does ------------------------------------------------------------------------------------------------

function listen(canvas, model, state, redraw) {
  let asked = null; // one question a frame at most
  const ask = (span) => {
    if (asked === null) requestAnimationFrame(() => (model.send({ kind: "span", span: asked.span }), (asked = null)));
    asked = { span };
  };
  const span = () => (asked && asked.span) || state.picture.view;
  const timeAt = (x) => {
    const [first, last] = state.picture.view;
    return first + ((last - first) * x) / Math.max(1, canvas.clientWidth - AXIS);
  };
  const zoom = (factor, around) => {
    const [first, last] = span();
    ask([around - (around - first) * factor, around + (last - around) * factor]);
  };
  const move = (share) => {
    const [first, last] = span();
    const by = (last - first) * share;
    const [low, high] = state.picture.whole;
    const fitted = Math.min(Math.max(by, low - first), high - last);
    ask([first + fitted, last + fitted]);
  };
  const on = {
    pointermove: (event) => {
      state.pointer = { x: event.offsetX, y: event.offsetY };
      if (state.drag && state.picture) {
        const width = Math.max(1, canvas.clientWidth - AXIS);
        move((state.drag.x - event.offsetX) / width);
        state.drag.x = event.offsetX;
      }
      redraw();
    },
    pointerleave: () => ((state.pointer = null), redraw()),
    pointerdown: (event) => ((state.drag = { x: event.offsetX }), canvas.setPointerCapture(event.pointerId)),
    pointerup: () => (state.drag = null),
    pointercancel: () => (state.drag = null),
    dblclick: () => ask(null),
    wheel: (event) => {
      if (!state.picture) return;
      event.preventDefault();
      zoom(Math.exp(Math.sign(event.deltaY) * 0.25), timeAt(event.offsetX));
    },
    keydown: (event) => {
      if (!state.picture) return;
      const [first, last] = span();
      const done = {
        ArrowLeft: () => move(-0.2), ArrowRight: () => move(0.2), "+": () => zoom(0.6, (first + last) / 2),
        "-": () => zoom(1 / 0.6, (first + last) / 2), 0: () => ask(null),
      }[event.key];
      if (done) (event.preventDefault(), event.stopPropagation(), done());
    },
  };
  for (const [name, handler] of Object.entries(on)) canvas.addEventListener(name, handler, { passive: false });
  return () => Object.entries(on).forEach(([name, handler]) => canvas.removeEventListener(name, handler));
}

// --- drawing ---------------------------------------------------------------------------------------------------------

function draw(canvas, el, state) {
  const width = canvas.clientWidth;
  const height = canvas.clientHeight;
  if (!width || !height) return;
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  pen.scale(ratio, ratio);
  pen.font = "11px system-ui, sans-serif";
  const look = lookOf(el);
  const picture = state.picture;
  if (!picture) return;
  const [first, last] = picture.view;
  const plot = { width: width - AXIS, x: (time) => ((time - first) / (last - first)) * (width - AXIS) };
  const weights = picture.panes.reduce((sum, pane) => sum + pane.weight, 0);
  const room = height - FOOT - GAP * picture.panes.length;
  const ticks = timeTicks(first, last, plot.width);
  let top = GAP / 2;
  for (const pane of picture.panes) {
    const box = { top, height: (room * pane.weight) / weights };
    drawPane(pen, pane, box, plot, look, picture, ticks, state.pointer);
    top += box.height + GAP;
  }
  drawTimes(pen, ticks, plot, look, height);
  drawPointer(pen, state.pointer, plot, look, height, picture);
}

function lookOf(el) {
  const text = getComputedStyle(el).color;
  const [r, g, b] = (text.match(/[\d.]+/g) || [0, 0, 0]).map(Number);
  const light = ([red, green, blue]) => (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255;
  const dark = light([r, g, b]) > DARK_BELOW;
  const faint = (alpha) => `rgba(${r}, ${g}, ${b}, ${alpha})`;
  const shade = (color) => {
    if (!color) return text;
    if (dark) return `color-mix(in srgb, ${color} 68%, white)`;
    const parts = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
    return light(parts) > PALE ? `color-mix(in srgb, ${color} 60%, black)` : color;
  };
  return { text, faint, shade, back: dark ? "#1b1b1b" : "#ffffff", up: shade("#009E73"), down: shade("#D55E00") };
}

function drawPane(pen, pane, box, plot, look, picture, ticks, pointer) {
  const range = rangeOf(pane, picture);
  const y = (value) => box.top + box.height * (1 - (value - range.low) / (range.high - range.low));
  const steps = valueTicks(range.low, range.high, box.height);
  pen.lineWidth = 1;
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  for (const value of steps.values) {
    const at = Math.round(y(value)) + 0.5;
    stroke(pen, look.faint(0.1), () => (pen.moveTo(0, at), pen.lineTo(plot.width, at)));
    pen.fillStyle = look.faint(0.75);
    pen.fillText(shown(value, pane.form, steps.step), plot.width + 6, at);
  }
  for (const tick of ticks.values) {
    const at = Math.round(plot.x(tick)) + 0.5;
    stroke(pen, look.faint(0.07), () => (pen.moveTo(at, box.top), pen.lineTo(at, box.top + box.height)));
  }
  stroke(pen, look.faint(0.25), () => pen.rect(0.5, box.top + 0.5, plot.width, box.height));
  pen.save();
  pen.beginPath();
  pen.rect(0, box.top, plot.width, box.height);
  pen.clip();
  for (const series of pane.series) {
    const draws = { candles: drawCandles, line: drawLine, area: drawArea, buy: drawMarks, sell: drawMarks };
    draws[series.kind](pen, series, plot, y, look, picture);
  }
  pen.restore();
  drawTitle(pen, pane, box, look, steps.step, pointer ? pointerTime(pointer, plot, picture) : null);
}

function rangeOf(pane, picture) {
  let low = Infinity;
  let high = -Infinity;
  const [first, last] = picture.view;
  for (const { kind, columns } of pane.series) {
    if (kind === "buy" || kind === "sell") continue;
    const [times, ...values] = kind === "candles" ? [columns[0], columns[2], columns[3]] : columns;
    for (let i = 0; i < times.length; i++) {
      if (times[i] + picture.width < first || times[i] > last + picture.width) continue;
      for (const column of values) {
        if (column[i] < low) low = column[i];
        if (column[i] > high) high = column[i];
      }
    }
  }
  if (!(low <= high)) return { low: 0, high: 1 };
  if (pane.form === "percent") high = Math.max(high, 0);
  const pad = (high - low) * 0.06 || Math.abs(high) * 1e-3 || 1;
  return { low: low - pad, high: high + pad };
}

function stroke(pen, style, path) {
  pen.strokeStyle = style;
  pen.beginPath();
  path();
  pen.stroke();
}

function drawCandles(pen, series, plot, y, look, picture) {
  const [times, opens, highs, lows, closes] = series.columns;
  const step = plot.x(picture.view[0] + picture.width);
  const body = Math.max(1, Math.floor(step * 0.7));
  for (const rising of [true, false]) {
    pen.fillStyle = rising ? look.up : look.down;
    for (let i = 0; i < times.length; i++) {
      if (closes[i] >= opens[i] !== rising) continue;
      const middle = plot.x(times[i]) + step / 2;
      const [top, bottom] = rising ? [y(closes[i]), y(opens[i])] : [y(opens[i]), y(closes[i])];
      pen.fillRect(middle - 0.5, y(highs[i]), 1, Math.max(1, y(lows[i]) - y(highs[i])));
      if (body > 1) pen.fillRect(middle - body / 2, top, body, Math.max(1, bottom - top));
    }
  }
}

function trace(pen, times, values, plot, y) {
  let lifted = true;
  for (let i = 0; i < times.length; i++) {
    if (Number.isNaN(values[i])) lifted = true;
    else if (lifted) (pen.moveTo(plot.x(times[i]), y(values[i])), (lifted = false));
    else pen.lineTo(plot.x(times[i]), y(values[i]));
  }
}

function drawLine(pen, series, plot, y, look) {
  const [times, values] = series.columns;
  pen.lineWidth = 1.25;
  pen.lineJoin = "round";
  stroke(pen, look.shade(series.color), () => trace(pen, times, values, plot, y));
}

function drawArea(pen, series, plot, y, look) {
  const [times, values] = series.columns;
  if (!times.length) return;
  pen.beginPath();
  pen.moveTo(plot.x(times[0]), y(0));
  for (let i = 0; i < times.length; i++) pen.lineTo(plot.x(times[i]), y(values[i]));
  pen.lineTo(plot.x(times[times.length - 1]), y(0));
  pen.globalAlpha = 0.25;
  pen.fillStyle = look.shade(series.color);
  pen.fill();
  pen.globalAlpha = 1;
  drawLine(pen, series, plot, y, look);
}

function drawMarks(pen, series, plot, y, look) {
  const [times, prices] = series.columns;
  const sign = series.kind === "buy" ? 1 : -1; // a buy points up from below its price, a sell down from above
  pen.fillStyle = look.shade(series.color);
  pen.strokeStyle = look.back;
  pen.lineWidth = 1;
  const crowded = times.length > CROWD;
  const half = crowded ? MARK * 0.6 : MARK;
  pen.globalAlpha = crowded ? 0.7 : 1;
  for (let i = 0; i < times.length; i++) {
    const x = plot.x(times[i]);
    const tip = y(prices[i]) + sign * 2;
    pen.beginPath();
    pen.moveTo(x, tip);
    pen.lineTo(x - half, tip + sign * 2 * half);
    pen.lineTo(x + half, tip + sign * 2 * half);
    pen.closePath();
    pen.fill();
    if (!crowded) pen.stroke();
  }
  pen.globalAlpha = 1;
}

function drawTitle(pen, pane, box, look, step, time) {
  let x = 6;
  const y = box.top + 10;
  const put = (text, style) => {
    const wide = pen.measureText(text).width;
    pen.fillStyle = look.back;
    pen.globalAlpha = 0.7;
    pen.fillRect(x - 2, y - 7, wide + 4, 14);
    pen.globalAlpha = 1;
    pen.fillStyle = style;
    pen.fillText(text, x, y);
    x += wide + 10;
  };
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  put(pane.title, look.text);
  for (const series of pane.series) {
    if (series.kind === "buy" || series.kind === "sell") {
      put(`${series.kind === "buy" ? "▲" : "▼"} ${series.name}`, look.shade(series.color));
      continue;
    }
    const at = time === null ? -1 : before(series.columns[0], time);
    const tell = (value) => shown(value, pane.form, step / 100);
    const value = at < 0 ? "" : tell(series.columns[series.kind === "candles" ? 4 : 1][at]);
    const name = series.kind === "candles" || series.name === pane.title ? "" : series.name;
    if (name || value) put([name, value].filter(Boolean).join(" "), look.shade(series.color));
  }
}

// --- axes ------------------------------------------------------------------------------------------------------------

function valueTicks(low, high, height) {
  const rough = (high - low) / Math.max(3, Math.floor(height / 36));
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const values = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) values.push(k * step || 0);
  return { values, step };
}

function shown(value, form, step) {
  if (Number.isNaN(value)) return "–";
  const places = (unit) => Math.min(12, Math.max(0, -Math.floor(Math.log10(unit) + 1e-9)));
  const fixed = (number, unit) =>
    (number || 0).toLocaleString("en-US", { minimumFractionDigits: places(unit), maximumFractionDigits: places(unit) });
  return form === "percent" ? `${fixed(100 * value, 100 * step)} %` : fixed(value, step);
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const STEPS = [
  100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE,
  30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 4 * DAY, 7 * DAY, 14 * DAY,
];

function timeTicks(first, last, width) {
  const rough = (last - first) / Math.max(2, Math.floor(width / 90));
  const step = STEPS.find((each) => each >= rough);
  const values = [];
  if (step) {
    for (let time = Math.ceil(first / step) * step; time <= last; time += step) values.push(time);
    return { values, step };
  }
  const months = [1, 2, 3, 6, 12, 24, 60, 120].find((count) => count * 30 * DAY >= rough) || 120;
  const day = new Date(first);
  const month = day.getUTCFullYear() * 12 + day.getUTCMonth();
  for (let at = Math.ceil(month / months) * months; ; at += months) {
    const time = Date.UTC(Math.floor(at / 12), at % 12, 1);
    if (time > last) return { values, step: months * 30 * DAY };
    if (time >= first) values.push(time);
  }
}

function timeText(time, step, whole) {
  const text = new Date(time).toISOString(); // UTC
  if (whole) return step < 1_000 ? text.slice(0, 23).replace("T", " ") : text.slice(0, 16).replace("T", " ");
  if (step >= 28 * DAY) return text.slice(0, 7);
  if (step >= DAY || time % DAY === 0) return text.slice(0, 10);
  if (step >= MINUTE) return text.slice(11, 16);
  return step >= 1_000 ? text.slice(11, 19) : text.slice(11, 23);
}

function drawTimes(pen, ticks, plot, look, height) {
  pen.fillStyle = look.faint(0.75);
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  for (const tick of ticks.values) {
    const x = plot.x(tick);
    if (x > 30 && x < plot.width - 44) pen.fillText(timeText(tick, ticks.step, false), x, height - FOOT / 2);
  }
}

// --- the pointer -----------------------------------------------------------------------------------------------------

function pointerTime(pointer, plot, picture) {
  const [first, last] = picture.view;
  return pointer.x > plot.width ? null : first + ((last - first) * pointer.x) / plot.width;
}

/** Index of the last time that is not after this one, -1 if there is none. */
function before(times, time) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function drawPointer(pen, pointer, plot, look, height, picture) {
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  pen.fillStyle = look.faint(0.75);
  pen.fillText(picture.note, plot.width + AXIS - 2, height - FOOT / 2);
  pen.textAlign = "left";
  if (!pointer || pointer.x > plot.width) return;
  const x = Math.round(pointer.x) + 0.5;
  stroke(pen, look.faint(0.4), () => (pen.moveTo(x, 0), pen.lineTo(x, height - FOOT)));
  const text = `${timeText(pointerTime(pointer, plot, picture), picture.width, true)} UTC`;
  const wide = pen.measureText(text).width + 10;
  const left = Math.min(Math.max(0, x - wide / 2), plot.width - wide);
  pen.fillStyle = look.text;
  pen.fillRect(left, height - FOOT + 3, wide, FOOT - 6);
  pen.fillStyle = look.back;
  pen.fillText(text, left + 5, height - FOOT / 2);
}

export default { render };
