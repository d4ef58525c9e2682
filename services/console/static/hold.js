// A picture is clear only while Space or the pointer is held on it. Whatever ends the hold
// (release, loss of focus, another tab, Escape) ends it for good.

import { typing } from "./keys.js";

const STILL = 150; // ms; a touch that only scrolls by, or a slip, reveals nothing

export function holding(button, begin, end) {
  let hold = null;

  function start(by) {
    if (hold || document.hidden) return;
    const mine = { by, stop: new AbortController(), timer: 0 };
    hold = mine;
    mine.timer = setTimeout(() => begin(mine), STILL);
  }

  function stop(said) {
    const ended = hold;
    if (!ended) return;
    hold = null;
    clearTimeout(ended.timer);
    ended.stop.abort();
    end(ended, said);
  }

  const first = button === document.querySelector("[data-hold]");
  document.addEventListener("keydown", (event) => {
    const here = event.target === button;
    // From anywhere on the page the first picture answers, unless the key means something there.
    const free = first && !typing(event.target) && !event.target.closest("button, a, summary, input");
    if (event.code === "Space" && (here || free)) {
      event.preventDefault();
      if (!event.repeat) start("Space");
    } else if (event.code === "Escape") {
      stop();
    }
  });
  // On the window: the key may come up while the focus is elsewhere.
  window.addEventListener("keyup", (event) => {
    if (event.code === "Space" && hold?.by === "Space") {
      event.preventDefault();
      stop();
    }
  });
  button.addEventListener("pointerdown", (event) => {
    if (event.isPrimary && event.button === 0) start("pointer");
  });
  for (const ending of ["pointerup", "pointercancel"]) {
    window.addEventListener(ending, () => {
      if (hold?.by === "pointer") stop();
    });
  }
  button.addEventListener("pointerleave", () => {
    if (hold?.by === "pointer") stop();
  });
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("blur", () => stop());
  document.addEventListener("focusin", (event) => {
    if (event.target !== button) stop();
  });
  window.addEventListener("blur", () => stop());
  window.addEventListener("pagehide", () => stop());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stop();
  });

  return { is: (mine) => hold !== null && hold === mine, stop };
}
