// Named values side by side.

import { csv, number } from "./numbers.js";
import { h } from "./shell.js";

class Store {
  constructor() {
    this.tiles = new Map();
  }
  whole(header) {
    this.tiles.clear();
    this.change(header);
  }
  change({ tiles = [] }) {
    for (const [name, value, unit, tone] of tiles) this.tiles.set(name, { value, unit, tone });
    return true;
  }
}

// Shares and money have two digits, always: a number whose length changes cannot be read while it moves.
const fixed = (unit) => unit === "%" || (unit === unit.toUpperCase() && unit !== unit.toLowerCase());
const text = ({ value, unit }) => (typeof value === "string" ? value : number(value, fixed(unit) ? 2 : undefined));

class Painter {
  constructor(shell, store) {
    Object.assign(this, { shell, store, made: new Map() });
    this.row = h("dl", "ps-row");
    shell.body.append(this.row);
  }

  draw() {
    for (const [name, el] of this.made) {
      if (this.store.tiles.has(name)) continue;
      el.box.remove();
      this.made.delete(name);
    }
    for (const [name, tile] of this.store.tiles) {
      const el = this.made.get(name) ?? this.make(name);
      const words = text(tile);
      if (el.value.textContent !== words) el.value.textContent = words;
      if (words.length > el.widest && tile.unit !== "status") el.value.style.minWidth = `${(el.widest = words.length)}ch`; // grows, and never jumps
      if (el.unit.textContent !== tile.unit && tile.unit !== "status") el.unit.textContent = tile.unit;
      el.box.dataset.tone = tile.tone;
      el.box.toggleAttribute("data-status", tile.unit === "status");
    }
  }

  make(name) {
    const value = h("span", "ps-value");
    const unit = h("span", "ps-unit");
    const box = h("div", "ps-tile", { "data-name": name }, h("dt", "", { title: name }, name, unit), h("dd", "", {}, value));
    this.row.append(box);
    const el = { box, value, unit, widest: 0 };
    this.made.set(name, el);
    return el;
  }

  picture() {
    const ratio = devicePixelRatio || 1;
    const { colors, root } = this.shell;
    const canvas = h("canvas", "", { width: root.clientWidth * ratio, height: root.clientHeight * ratio });
    const ctx = canvas.getContext("2d");
    ctx.scale(ratio, ratio);
    ctx.fillStyle = colors.surface;
    ctx.fillRect(0, 0, root.clientWidth, root.clientHeight);
    const origin = root.getBoundingClientRect();
    for (const leaf of root.querySelectorAll("dt, .ps-value")) {
      const box = leaf.getBoundingClientRect();
      const style = getComputedStyle(leaf);
      ctx.fillStyle = style.color;
      ctx.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
      ctx.fillText(leaf.textContent, box.left - origin.left, box.bottom - origin.top - 4);
    }
    return canvas;
  }

  csv() {
    return csv([["name", "value", "unit", "tone"], ...[...this.store.tiles].map(([name, t]) => [name, t.value, t.unit, t.tone])]);
  }
}

export const Tiles = { Store, Painter };
