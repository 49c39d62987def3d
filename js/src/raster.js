// Lines with about as many points as the plot has pixel columns, or more, written as the pixels of an image. A canvas
// without a GPU takes 6 ms to stroke one line of 1.5 px that goes up and down in each of 900 columns; this takes 0.1 ms.

const LOUD = 12; // px: a column as tall as this is drawn in the gap of a dash too, lest the gap hide what a line did

export class Raster {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.ctx = this.canvas.getContext("2d");
    this.known = new Map(); // CSS colour -> pixel
  }

  /** An empty image for lines whose row i stands in column columns[i]: whole numbers, ascending, some perhaps outside. */
  begin(width, height, columns) {
    const { canvas } = this;
    if (canvas.width !== width || canvas.height !== height || !this.image) {
      Object.assign(canvas, { width, height });
      this.image = this.ctx.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
      this.low = new Float64Array(width); // of the line that is added: what it covers of each column
      this.high = new Float64Array(width);
    }
    this.pixels.fill(0);
    this.first = []; // rows at which a column begins
    columns.forEach((column, i) => column !== columns[i - 1] && this.first.push(i));
    this.columns = this.first.map((i) => columns[i]);
    this.first.push(columns.length);
  }

  /** Add a line through values at base - scale * value pixels from the top; NaN breaks it. `width`, `dash`, `phase`: pixels. */
  line(values, base, scale, { color, width, dash, phase, alpha }) {
    const { columns, first, low, high } = this;
    low.fill(Infinity);
    high.fill(-Infinity);
    let [before, left] = [0, NaN]; // the last column, and where the line left it
    for (let k = 0; k < columns.length; k++) {
      const column = columns[k];
      const end = first[k + 1];
      let [least, most] = [Infinity, -Infinity];
      for (let i = first[k]; i < end; i++) {
        const v = values[i];
        if (v < least) least = v;
        if (v > most) most = v;
      }
      const entered = base - scale * values[first[k]];
      if (least <= most) this.cover(column, base - scale * most, base - scale * least);
      if (k && left === left && entered === entered) this.join(before, left, column, entered);
      [before, left] = [column, base - scale * values[end - 1]];
    }
    const gap = gaps(dash, low.length, phase);
    for (let k = Math.ceil(width) - 1; k >= 0; k--) {
      this.paint(this.pixel(color), width, gap, k - ((width - 1) >> 1), alpha * Math.min(1, width - k));
    }
  }

  cover(column, low, high) {
    if (low < this.low[column]) this.low[column] = low;
    if (high > this.high[column]) this.high[column] = high;
  }

  /** Between two columns: each takes its part of the way, the first and the last one half of theirs. */
  join(from, y, to, end) {
    const step = (end - y) / (to - from);
    const half = y + step / 2;
    this.cover(from, half, half);
    this.cover(to, end - step / 2, end - step / 2);
    for (let c = Math.max(0, from + 1); c < to && c < this.low.length; c++) {
      const middle = y + step * (c - from);
      this.cover(c, middle - Math.abs(step) / 2, middle + Math.abs(step) / 2);
    }
  }

  /** `shift` columns to the right, with a share of the opacity. */
  paint(pixel, width, gap, shift, share) {
    const { low, high, image, pixels } = this;
    const stride = image.width;
    for (let c = Math.max(0, -shift); c < stride - shift; c++) {
      const tall = high[c] - low[c];
      if (!(tall >= 0) || (gap[c] && tall < LOUD)) continue;
      const middle = (low[c] + high[c]) / 2;
      const half = Math.sqrt(tall * tall + width * width) / 2; // what a slanting stroke covers of a column
      const top = Math.max(0, middle - half);
      const bottom = Math.min(image.height, middle + half);
      if (!(top < bottom)) continue;
      const first = Math.floor(top);
      const last = Math.floor(bottom);
      let i = first * stride + c + shift;
      pixels[i] = over(pixel, share * (Math.min(bottom, first + 1) - top), pixels[i]);
      if (first === last) continue;
      const end = last * stride + c + shift;
      for (i += stride; i < end; i += stride) pixels[i] = share === 1 ? pixel : over(pixel, share, pixels[i]);
      pixels[end] = over(pixel, share * (bottom - last), pixels[end]);
    }
  }

  /** A CSS colour as the image holds it. */
  pixel(color) {
    if (!this.known.has(color)) {
      const ctx = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
      ctx.fillStyle = color;
      ctx.fillRect(0, 0, 1, 1);
      this.known.set(color, new Uint32Array(ctx.getImageData(0, 0, 1, 1).data.buffer)[0]);
    }
    return this.known.get(color);
  }

  /** The image over another canvas. */
  end(ctx, left, top) {
    this.ctx.putImageData(this.image, 0, 0);
    ctx.drawImage(this.canvas, left, top);
  }
}

/** For each column whether it lies in a gap of a dash that begins `phase` columns to the left of the first. */
function gaps(dash, columns, phase) {
  const found = new Uint8Array(columns);
  for (let k = 0, at = -phase; dash.length && at < columns; at += dash[k++ % dash.length]) {
    if (k % 2) found.fill(1, Math.max(0, at), Math.max(0, at + dash[k % dash.length]));
  }
  return found;
}

/** A pixel with a share of its opacity over another. */
function over(pixel, share, under) {
  const rest = ((1 - share) * (under >>> 24)) / 255;
  const weight = share / (share + rest);
  const mix = (shift) => (weight * ((pixel >>> shift) & 255) + (1 - weight) * ((under >>> shift) & 255)) << shift;
  return mix(0) | mix(8) | mix(16) | ((255 * (share + rest)) << 24);
}
