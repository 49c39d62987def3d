// A table of thousands of rows of which only those in sight are in the page: filters, opening of a row, all by keyboard.

import { csv, iso, number, time } from "./numbers.js";
import { h } from "./shell.js";

const ROW = 24; // px; one height for all rows is what makes the rest simple
const DETAIL = 168; // px at most
const SPARE = 4; // rows above and below the sight
const HEIGHT = 312; // at most: as high as its rows have been, filters aside, so that nothing below jumps
const LEAST = 3 * ROW; // of the rows: room for the words where there are none
const WIDTHS = { text: 88, number: 92, time: 84, side: 52, status: 132 };
const NO_ROW = -1;

class Store {
  constructor(options) {
    this.columns = options.columns;
    this.rows = new Map(); // number -> cells, in the order they came
    this.version = 0;
  }

  whole(header, arrays) {
    this.rows.clear();
    this.put(header, arrays);
  }

  change(header, arrays) {
    for (const row of header.removed ?? []) this.rows.delete(row);
    if (arrays.row) this.put(header, arrays);
    return true;
  }

  put({ words }, arrays) {
    this.version++;
    const columns = this.columns.map((_, k) => arrays[`c${k}`]);
    arrays.row.forEach((row, i) => {
      this.rows.set(row, columns.map((column, k) => (words[k] ? words[k][column[i]] : column[i])));
    });
  }
}

class Painter {
  constructor(shell, store, given) {
    Object.assign(this, { shell, store, given });
    this.shownColumns = given.columns.map((column, k) => ({ ...column, k })).filter(({ kind }) => kind !== "detail");
    this.detailAt = given.columns.findIndex(({ kind }) => kind === "detail");
    this.opens = this.detailAt >= 0;
    this.chosen = new Map(); // column -> value
    this.search = "";
    this.active = NO_ROW; // numbers of rows, which stay when rows come and go
    this.opened = NO_ROW;
    this.detailHeight = 0;
    this.order = [];
    this.pool = [];
    this.build();
  }

  build() {
    const { shell, given } = this;
    const changed = () => {
      this.scroll.scrollTop = 0;
      shell.dirty();
    };
    this.box = h("input", "ps-search", {
      type: "search", placeholder: "Search", "aria-label": `search ${given.title}`,
      oninput: () => ((this.search = this.box.value.trim().toLowerCase()), changed()),
    });
    this.selects = given.filters.map((name) => {
      const k = given.columns.findIndex((column) => column.name === name);
      const select = h("select", "ps-select", { "aria-label": `filter by ${name}`, "data-column": name });
      select.onchange = () => (select.value ? this.chosen.set(k, select.value) : this.chosen.delete(k), changed());
      return { name, k, select, seen: "" };
    });
    this.count = h("span", "ps-count", { role: "status" });
    shell.slot.append(...this.selects.map(({ select }) => select), this.box, this.count);
    this.template = this.shownColumns.map(({ kind, width }, i) => this.track(kind, width, i)).join(" ");
    const least = this.shownColumns.reduce((sum, { kind, width }) => sum + (width ?? WIDTHS[kind]), 16);
    const heads = this.shownColumns.map(({ name, kind }, i) =>
      h("span", `ps-cell ps-${kind}`, { role: "columnheader", "aria-colindex": i + 1, textContent: name.replaceAll("_", " ") }));
    this.headRow = h("div", "ps-tr ps-th", { role: "row", "aria-rowindex": 1 }, ...heads);
    this.spacer = h("div", "ps-rows", { role: "rowgroup" });
    this.scroll = h("div", "ps-scroll", {
      tabIndex: 0, role: "grid", "aria-label": given.title, "aria-colcount": this.shownColumns.length, "aria-readonly": "true",
    }, this.headRow, this.spacer);
    this.scroll.style.setProperty("--ps-columns", this.template);
    this.scroll.style.setProperty("--ps-least", `${least}px`);
    this.scroll.style.maxHeight = `${HEIGHT}px`;
    this.scroll.addEventListener("scroll", () => shell.dirty(), { passive: true });
    this.scroll.onkeydown = (event) => this.key(event);
    this.scroll.onclick = (event) => this.clicked(event);
    this.detail = h("pre", "ps-detail", { tabIndex: 0, role: "region" });
    shell.body.append(this.scroll);
    this.refill();
  }

  track(kind, width, i) {
    const least = width ?? WIDTHS[kind];
    const grows = i === this.shownColumns.length - 1 || kind === "text" || kind === "number";
    return grows ? `minmax(${least}px, 1fr)` : `${least}px`;
  }

  refill() {
    for (const entry of this.selects) {
      const values = new Set();
      for (const cells of this.store.rows.values()) if (cells[entry.k]) values.add(cells[entry.k]);
      const sorted = [...values].sort();
      const seen = sorted.join("\n");
      if (entry.seen === seen && entry.select.length) continue;
      entry.seen = seen;
      const chosen = this.chosen.get(entry.k) ?? "";
      if (chosen && !values.has(chosen)) sorted.push(chosen);
      entry.select.replaceChildren(new Option(`all ${plural(entry.name)}`, ""), ...sorted.map((value) => new Option(value, value)));
      entry.select.value = chosen;
    }
  }

  /** Numbers of the rows that pass the filters, as they stand from top to bottom. */
  filtered() {
    const order = [];
    for (const [row, cells] of this.store.rows) {
      let passes = true;
      for (const [k, value] of this.chosen) passes &&= cells[k] === value;
      if (passes && this.search) passes = cells.some((x) => typeof x === "string" && x.toLowerCase().includes(this.search));
      if (passes) order.push(row);
    }
    return this.given.newestFirst ? order.reverse() : order;
  }

  draw() {
    if (this.refilledFor !== this.store.version) this.refill();
    this.refilledFor = this.store.version;
    const before = this.order;
    this.order = this.filtered();
    const { scroll, order } = this;
    this.hold(before);
    const at = this.opened === NO_ROW ? NO_ROW : order.indexOf(this.opened);
    this.openAt = at;
    this.showDetail(at);
    const least = Math.min(HEIGHT - ROW, Math.max(LEAST, this.store.rows.size * ROW));
    if (this.least !== least) this.spacer.style.minHeight = `${(this.least = least)}px`;
    const height = order.length * ROW + this.detailHeight;
    if (this.height !== height) this.spacer.style.height = `${(this.height = height)}px`;
    const first = Math.max(0, this.indexAt(scroll.scrollTop) - SPARE);
    const last = Math.min(order.length, this.indexAt(scroll.scrollTop + HEIGHT) + 1 + SPARE);
    while (this.pool.length < last - first) this.pool.push(this.makeRow());
    this.pool.forEach((entry, i) => this.fill(entry, first + i < last ? first + i : NO_ROW));
    const total = this.store.rows.size;
    this.count.textContent = order.length === total ? `${number(total)} rows` : `${number(order.length)} of ${number(total)} rows`;
    scroll.setAttribute("aria-rowcount", order.length + 1);
    this.shell.body.toggleAttribute("data-empty", order.length === 0);
  }

  /** Whoever reads further down keeps the same rows before their eyes when new ones come on top. */
  hold(before) {
    const { scroll } = this;
    if (scroll.scrollTop < ROW || !before.length) return;
    const row = before[this.indexAt(scroll.scrollTop, before)];
    const was = before.indexOf(row);
    const is = this.order.indexOf(row);
    if (is >= 0 && is !== was) {
      this.spacer.style.height = `${(this.height = this.order.length * ROW + this.detailHeight)}px`;
      scroll.scrollTop += (is - was) * ROW;
    }
  }

  top(i) {
    return i * ROW + (this.openAt >= 0 && i > this.openAt ? this.detailHeight : 0);
  }

  indexAt(y, order = this.order) {
    const opened = this.openAt ?? NO_ROW;
    const past = opened >= 0 && y > (opened + 1) * ROW ? Math.min(this.detailHeight, y - (opened + 1) * ROW) : 0;
    return Math.max(0, Math.min(order.length - 1, Math.floor((y - past) / ROW)));
  }

  makeRow() {
    const cells = this.shownColumns.map(({ kind }, i) => h("span", `ps-cell ps-${kind}`, { role: "gridcell", "aria-colindex": i + 1 }));
    const el = h("div", "ps-tr", { role: "row" }, ...cells);
    this.spacer.append(el);
    return { el, cells, texts: cells.map(() => ""), row: NO_ROW, y: NO_ROW };
  }

  fill(entry, i) {
    const { el } = entry;
    const hide = i === NO_ROW;
    if (el.hidden !== hide) el.hidden = hide;
    entry.row = hide ? NO_ROW : this.order[i];
    if (hide) return;
    const y = this.top(i);
    if (entry.y !== y) el.style.transform = `translateY(${(entry.y = y)}px)`;
    if (entry.index !== i) {
      el.setAttribute("aria-rowindex", (entry.index = i) + 2);
      el.classList.toggle("ps-odd", i % 2 === 1);
    }
    const values = this.store.rows.get(entry.row);
    this.shownColumns.forEach((column, c) => {
      const words = cellText(column, values[column.k]);
      if (entry.texts[c] === words) return;
      entry.texts[c] = entry.cells[c].textContent = words;
      if (column.kind === "side") entry.cells[c].dataset.side = words;
      if (column.kind === "status") entry.cells[c].dataset.tone = tone(words);
      entry.cells[c].title = words.length > 12 ? words : "";
    });
    const active = entry.row === this.active;
    if (entry.active !== active) el.classList.toggle("ps-active", (entry.active = active));
    if (active) this.mark(el);
    if (this.opens) el.setAttribute("aria-expanded", String(entry.row === this.opened));
  }

  mark(el) {
    el.id ||= `ps-${Math.random().toString(36).slice(2)}`;
    this.scroll.setAttribute("aria-activedescendant", el.id);
  }

  showDetail(at) {
    if (at < 0) {
      this.detailHeight = 0;
      return void this.detail.remove();
    }
    const text = this.store.rows.get(this.opened)[this.detailAt] || (this.given.asks ? "…" : "Nothing more is known of this row.");
    const { detail } = this;
    const changed = detail.textContent !== text || !detail.isConnected;
    detail.style.transform = `translateY(${(at + 1) * ROW}px)`;
    if (!changed) return;
    detail.textContent = text;
    this.spacer.append(detail);
    this.detailHeight = Math.min(DETAIL, detail.offsetHeight);
  }

  resize() {
    this.detailHeight = Math.min(DETAIL, this.detail.offsetHeight);
  }

  open(row) {
    if (!this.opens) return;
    this.opened = this.opened === row ? NO_ROW : row;
    const cells = this.store.rows.get(row);
    if (this.opened === row && this.given.asks && !cells[this.detailAt]) this.shell.stream.tell({ opened: row });
    this.shell.dirty();
  }

  clicked(event) {
    const entry = this.pool.find(({ el }) => el.contains(event.target));
    if (!entry || entry.row === NO_ROW || getSelection().toString()) return;
    this.active = entry.row;
    this.open(entry.row);
    this.shell.dirty();
  }

  key(event) {
    if (event.target === this.detail) {
      if (event.key === "Escape") this.scroll.focus();
      return;
    }
    const { order } = this;
    const page = Math.floor(HEIGHT / ROW) - 2;
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -order.length, End: order.length };
    const at = order.indexOf(this.active);
    if (event.key in steps && order.length) {
      const next = at < 0 ? 0 : Math.max(0, Math.min(order.length - 1, at + steps[event.key]));
      this.active = order[next];
      this.reveal(next);
    } else if ((event.key === "Enter" || event.key === " ") && at >= 0) this.open(this.active);
    else if (event.key === "Escape" && this.opened !== NO_ROW) this.open(this.opened);
    else return;
    event.preventDefault();
    this.shell.dirty();
  }

  reveal(i) {
    const { scroll } = this;
    const y = this.top(i);
    const below = y + 2 * ROW - scroll.clientHeight; // the heading takes a row
    if (y < scroll.scrollTop) scroll.scrollTop = y;
    else if (below > scroll.scrollTop) scroll.scrollTop = below;
  }

  picture() {
    const ratio = devicePixelRatio || 1;
    const { colors, root, title } = this.shell;
    const width = root.clientWidth;
    const rows = this.order.slice(0, 60);
    const canvas = h("canvas", "", { width: width * ratio, height: (rows.length + 2.5) * ROW * ratio });
    const ctx = canvas.getContext("2d");
    ctx.scale(ratio, ratio);
    ctx.fillStyle = colors.surface;
    ctx.fillRect(0, 0, width, canvas.height);
    const family = getComputedStyle(root).fontFamily;
    const lefts = [...this.headRow.children].map((cell) => [cell.offsetLeft, cell.offsetWidth]);
    const write = (text, c, y, color, weight = "") => {
      const right = this.shownColumns[c]?.kind === "number";
      ctx.font = `${weight} 12px ${family}`;
      ctx.fillStyle = color;
      ctx.textAlign = right ? "right" : "left";
      const [x, w] = lefts[c];
      ctx.save();
      ctx.beginPath(), ctx.rect(x, y - ROW, w, ROW * 2), ctx.clip();
      ctx.fillText(text, right ? x + w - 6 : x + 6, y);
      ctx.restore();
    };
    ctx.fillStyle = colors.text;
    ctx.font = `600 13px ${family}`;
    ctx.fillText(`${title.textContent}: ${this.count.textContent}`, 8, 17);
    this.shownColumns.forEach(({ name }, c) => write(name, c, ROW * 1.7, colors.muted, "600"));
    rows.forEach((row, i) => {
      this.shownColumns.forEach((column, c) => {
        const words = cellText(column, this.store.rows.get(row)[column.k]);
        const color = column.kind === "side" ? (words === "BUY" ? colors.up : colors.down) : colors.text;
        write(words, c, ROW * (i + 2.7), color);
      });
    });
    return canvas;
  }

  csv() {
    const { columns } = this.given;
    const cells = (values) => values.map((x, k) => (columns[k].kind === "time" ? iso(x) : x));
    return csv([columns.map(({ name }) => name), ...this.order.map((row) => cells(this.store.rows.get(row)))]);
  }
}

const plural = (name) => (/s$/.test(name) ? `${name}es` : /[^aeiou]y$/.test(name) ? `${name.slice(0, -1)}ies` : `${name}s`);

function cellText({ kind, digits }, value) {
  if (kind === "number") return Number.isNaN(value) ? "" : number(value, digits ?? undefined);
  if (kind === "time") return Number.isNaN(value) ? "" : time(value, { fraction: false });
  return value;
}

const TONES = {
  good: /^(filled|running|active|ready|connected|done)$/i,
  bad: /^(denied|rejected|failed|halted|unknown|disabled|dead|error)$/i,
  warning: /^(pending_cancel|quarantined|paused|reduce_only|stopping|starting|restarting)$/i,
  open: /^(submitted|accepted|partially_filled|initialized|new)$/i,
};
const tone = (status) => Object.keys(TONES).find((name) => TONES[name].test(status)) ?? "muted";

export const Table = { Store, Painter };
