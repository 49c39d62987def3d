// Rows of numbers in time, at most so many; the same thinning as pairsim/notebook/views/history.py, so that both ends hold
// the same rows without a word about it.

export class History {
  constructor(capacity, series) {
    this.capacity = capacity;
    this.count = 0;
    this.total = 0;
    this.time = new Float64Array(capacity);
    this.columns = Array.from({ length: series }, () => new Float64Array(capacity));
  }

  /** Add rows from `skip` on; values row by row, as differences from `base`. */
  append(time, values, base, skip = 0) {
    const k = this.columns.length;
    for (let i = skip; i < time.length; i++) {
      if (this.count === this.capacity) this.thin();
      this.time[this.count] = time[i];
      for (let j = 0; j < k; j++) this.columns[j][this.count] = values[i * k + j] + base[j];
      this.count++;
    }
    this.total += time.length - skip;
  }

  /** A row without values, where some are missing. */
  gap(time) {
    this.append([time], this.columns.map(() => NaN), this.columns.map(() => 0));
  }

  thin() {
    const half = this.capacity >> 1;
    const keep = evenly(this.time, half, half >> 1);
    for (const column of [this.time, ...this.columns]) {
      keep.forEach((from, to) => (column[to] = column[from]));
      column.copyWithin(keep.length, half, this.count);
    }
    this.count += keep.length - half;
  }
}

function evenly(time, length, count) {
  const keep = [];
  const [first, last] = [time[0], time[length - 1]];
  for (let i = 0, row = 0; i < count; i++) {
    const moment = first + ((last - first) * i) / count;
    while (time[row] < moment) row++;
    if (keep.at(-1) !== row) keep.push(row);
  }
  return keep;
}
