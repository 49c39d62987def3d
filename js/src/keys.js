// Keys pressed in a view or among its controls are for it: a notebook in command mode takes arrows, Enter and letters for
// its cells, from whatever has the focus. It listens on the document, so what stops at the body never reaches it.

const OURS = ".pairsim, .pairsim-dashboard, .pairsim-controls, .pairsim-chooser";

export function pressed(event) {
  const { target, key } = event;
  const menu = event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && key === "Enter");
  if (menu || !target.closest?.(OURS)) return;
  event.stopPropagation();
  if (key === "Escape") target.closest(".pairsim-question")?.querySelector(".pairsim-no").click();
}
