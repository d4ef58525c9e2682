// The upload as it is, only while Space or the pointer is held on its picture.
//
// Nothing but the blurred derivative is fetched before. When the hold ends, the picture is removed
// and its bytes are freed; an answer that comes too late is thrown away unseen.

import { holding } from "./hold.js";
import { post, sentence } from "./post.js";

export function holdToReveal(button, credentials, display) {
  const hint = button.parentElement.querySelector("[data-hint]");
  const blurred = hint.textContent;

  const hold = holding(
    button,
    async (mine) => {
      hint.textContent = "Fetching…";
      try {
        const response = await post(button.dataset.reveal, credentials, "image/jpeg", mine.stop.signal, {
          as: display.as,
        });
        if (!response.ok) {
          const why = await sentence(response);
          if (hold.is(mine)) hold.stop(`Not shown: ${why}.`);
          return;
        }
        mine.look = response.headers.get("X-Look");
        mine.since = performance.now();
        const bytes = await response.blob();
        if (!hold.is(mine)) return;
        mine.url = URL.createObjectURL(bytes);
        const image = new Image();
        image.className = "clear";
        image.alt = "The upload as it is";
        image.draggable = false;
        image.src = mine.url;
        mine.image = image;
        await image.decode();
        if (!hold.is(mine)) return;
        display.dress(image);
        button.append(image);
        button.classList.add("shown");
        hint.textContent = "Shown as it is. Let go to blur it.";
      } catch (error) {
        if (hold.is(mine)) hold.stop("Not shown: the console does not answer; try again.");
      }
    },
    (ended, said = blurred) => {
      button.classList.remove("shown");
      endLook(button, credentials, ended);
      if (ended.image) {
        display.undress(ended.image);
        ended.image.remove();
        ended.image.removeAttribute("src");
      }
      if (ended.url) URL.revokeObjectURL(ended.url);
      hint.textContent = said;
    },
  );
}

// How long it was looked at counts against what one person may see.
export function endLook(button, credentials, { look, since }) {
  if (!look) return;
  const seconds = (performance.now() - since) / 1000;
  post(button.dataset.looked, credentials, "*/*", undefined, { look, seconds }).catch(() => {});
}
