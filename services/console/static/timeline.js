// Matched stretches of a video: buttons, and keys that walk from one to the next.

export function walkRanges(page) {
  const buttons = [...page.querySelectorAll("[data-range]")];
  if (!buttons.length) return;
  let at = -1;

  function go(to) {
    at = (to + buttons.length) % buttons.length;
    for (const [place, button] of buttons.entries()) {
      button.setAttribute("aria-pressed", String(place === at));
      const bar = button.closest("[data-timeline]").querySelector(`[data-bar="${button.dataset.range}"]`);
      bar.classList.toggle("chosen", place === at);
    }
    buttons[at].focus();
    page.dispatchEvent(new CustomEvent("range", { detail: { start: Number(buttons[at].dataset.start), end: Number(buttons[at].dataset.end) } }));
  }

  for (const [place, button] of buttons.entries()) button.addEventListener("click", () => go(place));
  // The key for the one before leads, at first, to the last.
  page.addEventListener("walk", (event) => go(at < 0 && event.detail < 0 ? -1 : at + event.detail));
}
