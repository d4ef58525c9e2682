// Leaving fast: blank first, then a harmless page in this one's place.

const link = document.querySelector("[data-exit]");
const WITHIN = 3000;
let pressed = [];

function leave(event) {
  event?.preventDefault();
  document.title = "";
  document.body.replaceChildren();
  location.replace(link.href);
}

if (link) {
  link.addEventListener("click", leave);
  addEventListener("keydown", (event) => {
    if (event.key !== "Shift") pressed = [];
    else if (!event.repeat) {
      pressed = [...pressed, event.timeStamp].slice(-3);
      if (pressed.length === 3 && pressed[2] - pressed[0] < WITHIN) leave();
    }
  });
  // A page kept in the browser's memory is not shown again as it was.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}
// Shown until this runs, so that whoever has no scripts, or whose scripts failed, can read it.
for (const element of document.querySelectorAll(".unscripted")) element.hidden = true;
for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
