// Matched stretches of a video: buttons, and keys that walk from one to the next.

const WIDTH = 1000; // units of the drawing
const LEAST = 6; // units that a bar is wide at least
const SVG = "http://www.w3.org/2000/svg";

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
    const { start, end } = buttons[at].dataset;
    const upload = buttons[at].closest("[data-timeline]").dataset.timeline;
    page.dispatchEvent(new CustomEvent("range", { detail: { start: Number(start), end: Number(end), upload } }));
  }

  for (const [place, button] of buttons.entries()) button.addEventListener("click", () => go(place));
  // The key for the one before leads, at first, to the last. The focus stays where it is: Space is
  // to reveal what was walked to.
  page.addEventListener("walk", (event) => {
    go(at < 0 && event.detail < 0 ? -1 : at + event.detail);
    buttons[at].scrollIntoView({ block: "nearest" });
  });
}

// A player's line: it says where the player is, and is drawn anew once it is known how long the
// video lasts.
export function timelineOf(element, seek) {
  if (!element) return null;
  const drawing = element.querySelector("svg");
  const playhead = drawing.querySelector("[data-playhead]");
  let seconds = Number(element.dataset.seconds);

  drawing.addEventListener("click", (event) => {
    const { left, width } = drawing.getBoundingClientRect();
    seek(((event.clientX - left) / width) * seconds);
  });

  function ticks() {
    const bottom = Number(playhead.getAttribute("y2"));
    const step = Math.max(1, Math.round(seconds / 6));
    for (const old of drawing.querySelectorAll(".tick, text")) old.remove();
    for (let at = 0; at <= seconds; at += step) {
      const x = String((WIDTH * at) / seconds);
      const line = document.createElementNS(SVG, "line");
      for (const [name, value] of Object.entries({ class: "tick", x1: x, x2: x, y1: 0, y2: bottom })) {
        line.setAttribute(name, value);
      }
      const label = document.createElementNS(SVG, "text");
      const anchor = at === 0 ? "start" : at + step > seconds ? "end" : "middle";
      for (const [name, value] of Object.entries({ x, y: bottom + 22, "text-anchor": anchor })) {
        label.setAttribute(name, value);
      }
      label.textContent = `${Math.floor(at / 60)}:${String(at % 60).padStart(2, "0")}`;
      drawing.prepend(line);
      playhead.before(label);
    }
  }

  return {
    head(at) {
      const x = String(Math.min(WIDTH, (WIDTH * at) / seconds));
      playhead.setAttribute("x1", x);
      playhead.setAttribute("x2", x);
      playhead.setAttribute("visibility", "visible");
    },
    stretch(lasts) {
      if (lasts <= seconds) return;
      seconds = lasts;
      for (const bar of drawing.querySelectorAll("[data-bar]")) {
        const [start, end] = [Number(bar.dataset.start), Number(bar.dataset.end)];
        bar.setAttribute("x", String((WIDTH * start) / lasts));
        bar.setAttribute("width", String(Math.max(LEAST, (WIDTH * (end - start)) / lasts)));
      }
      ticks();
    },
  };
}
