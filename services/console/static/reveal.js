// The upload as it is, only while Space or the pointer is held on its picture.
//
// Nothing but the blurred derivative is fetched before. Whatever ends the hold (release, loss of
// focus, another tab, Escape) removes the picture and frees its bytes; an answer that comes too
// late is thrown away unseen.

import { typing } from "./keys.js";
import { post, sentence } from "./post.js";

const STILL = 150; // ms; a touch that only scrolls by, or a slip, reveals nothing

export function holdToReveal(button, credentials, display) {
  const hint = button.parentElement.querySelector("[data-hint]");
  const blurred = hint.textContent;
  let hold = null;

  function say(text) {
    hint.textContent = text;
  }

  function begin(by) {
    if (hold || document.hidden) return;
    const mine = { by, stop: new AbortController(), timer: 0, url: null, image: null, look: null, since: 0 };
    hold = mine;
    mine.timer = setTimeout(() => show(mine), STILL);
  }

  async function show(mine) {
    say("Fetching…");
    try {
      const response = await post(button.dataset.reveal, credentials, "image/jpeg", mine.stop.signal, {
        as: display.as,
      });
      if (!response.ok) {
        const why = await sentence(response);
        if (hold === mine) end(`Not shown: ${why}.`);
        return;
      }
      mine.look = response.headers.get("X-Look");
      mine.since = performance.now();
      const bytes = await response.blob();
      if (hold !== mine) return;
      mine.url = URL.createObjectURL(bytes);
      const image = new Image();
      image.className = "clear";
      image.alt = "The upload as it is";
      image.draggable = false;
      image.src = mine.url;
      mine.image = image;
      await image.decode();
      if (hold !== mine) return;
      display.dress(image);
      button.append(image);
      button.classList.add("shown");
      say("Shown as it is. Let go to blur it.");
    } catch (error) {
      if (hold === mine) end("Not shown: the console does not answer; try again.");
    }
  }

  function end(text = blurred) {
    const ended = hold;
    if (!ended) return;
    hold = null;
    clearTimeout(ended.timer);
    ended.stop.abort();
    button.classList.remove("shown");
    if (ended.look) {
      // How long it was looked at counts against what one person may see.
      const seconds = (performance.now() - ended.since) / 1000;
      post(button.dataset.looked, credentials, "*/*", undefined, { look: ended.look, seconds }).catch(() => {});
    }
    if (ended.image) {
      display.undress(ended.image);
      ended.image.remove();
      ended.image.removeAttribute("src");
    }
    if (ended.url) URL.revokeObjectURL(ended.url);
    say(text);
  }

  const first = button === document.querySelector("[data-reveal]");
  document.addEventListener("keydown", (event) => {
    const here = event.target === button;
    // From anywhere on the page the first picture answers, unless the key means something there.
    const free = first && !typing(event.target) && !event.target.closest("button, a, summary, input");
    if (event.code === "Space" && (here || free)) {
      event.preventDefault();
      if (!event.repeat) begin("Space");
    } else if (event.code === "Escape") {
      end();
    }
  });
  // On the window: the key may come up while the focus is elsewhere.
  window.addEventListener("keyup", (event) => {
    if (event.code === "Space" && hold?.by === "Space") {
      event.preventDefault();
      end();
    }
  });
  button.addEventListener("pointerdown", (event) => {
    if (event.isPrimary && event.button === 0) begin("pointer");
  });
  for (const ending of ["pointerup", "pointercancel"]) {
    window.addEventListener(ending, () => {
      if (hold?.by === "pointer") end();
    });
  }
  button.addEventListener("pointerleave", () => {
    if (hold?.by === "pointer") end();
  });
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  button.addEventListener("blur", () => end());
  document.addEventListener("focusin", (event) => {
    if (event.target !== button) end();
  });
  window.addEventListener("blur", () => end());
  window.addEventListener("pagehide", () => end());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) end();
  });
}
