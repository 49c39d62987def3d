// Colours as the style sheet has them, for drawing on a canvas.

const NAMES = ["text", "muted", "grid", "surface", "up", "down", "accent"];
const LINES = 8;

/** The colours in force at an element. */
export function palette(el) {
  const style = getComputedStyle(el);
  const read = (name) => style.getPropertyValue(`--ps-${name}`).trim();
  const colors = Object.fromEntries(NAMES.map((name) => [name, read(name)]));
  colors.lines = Array.from({ length: LINES }, (_, k) => read(`line-${k + 1}`));
  colors.font = `11px ${style.fontFamily}`;
  return colors;
}

/** The colour of line k of n: eight hues, told apart for the colour-blind too; further rounds are paler and dashed. */
export const lineColor = (colors, k) => colors.lines[k % LINES];
export const lineDash = (k) => [[], [6, 3], [2, 3], [8, 3, 2, 3]][Math.floor(k / LINES) % 4];
