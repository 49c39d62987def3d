// How numbers and times are written: tabular, grouped, UTC.

const made = new Map();

/** A number with a fixed count of digits, or as many as it needs, up to eight significant ones. */
export function number(value, digits) {
  if (value == null || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const key = digits ?? "free";
  if (!made.has(key)) {
    const options = digits == null ? { maximumSignificantDigits: 8 } : { minimumFractionDigits: digits, maximumFractionDigits: digits };
    made.set(key, new Intl.NumberFormat("en-US", options));
  }
  return made.get(key).format(value).replace("-", "−");
}

/** Digits after the point that tell values apart across a range. */
export function digitsFor(range) {
  if (!(range > 0)) return 2;
  return Math.min(8, Math.max(0, 3 - Math.floor(Math.log10(range))));
}

/** Digits after the point that multiples of a step need. */
export function digitsOf(step) {
  for (let digits = 0; digits < 8; digits++) {
    const scaled = step * 10 ** digits;
    if (scaled > 0.5 && Math.abs(scaled - Math.round(scaled)) < 1e-6 * scaled) return digits;
  }
  return 8;
}

const two = (n) => String(n).padStart(2, "0");

/** Milliseconds since 1970 as a time of the day, UTC; with the date if asked. */
export function time(ms, { date = false, fraction = false } = {}) {
  if (!Number.isFinite(ms)) return "–";
  const d = new Date(ms);
  const day = date ? `${d.getUTCFullYear()}-${two(d.getUTCMonth() + 1)}-${two(d.getUTCDate())} ` : "";
  const parts = `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}:${two(d.getUTCSeconds())}`;
  return day + parts + (fraction ? `.${String(d.getUTCMilliseconds()).padStart(3, "0")}` : "");
}

/** Rows as CSV text. */
export function csv(rows) {
  const cell = (x) => {
    const text = x == null || Number.isNaN(x) ? "" : String(x);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

/** Milliseconds since 1970 as ISO 8601, for CSV. */
export const iso = (ms) => (Number.isFinite(ms) ? new Date(ms).toISOString() : "");
