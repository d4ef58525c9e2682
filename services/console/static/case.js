// One case: looking at uploads while a key is held, deciding by keys, keeping the claim at work.

import { fitBoxes } from "./boxes.js";
import { dials } from "./display.js";
import { playFilm } from "./film.js";
import { decideByKeys } from "./keys.js";
import { watchLease } from "./lease.js";
import { holdToReveal } from "./reveal.js";
import { walkRanges } from "./timeline.js";
import "./undo.js";

const lease = document.querySelector("[data-lease]");
const credentials = { token: lease.dataset.token, csrf: lease.dataset.csrf };

for (const words of document.querySelectorAll("[data-unscripted]")) words.hidden = true;
watchLease(lease, document.querySelector("[data-lease-lost]"), credentials);
const shown = document.querySelector("[data-display]"); // an enrolment shows nothing
const display = shown && dials(shown);
for (const picture of document.querySelectorAll("[data-reveal]")) {
  holdToReveal(picture, credentials, display);
}
for (const player of document.querySelectorAll("[data-player]")) {
  playFilm(player, credentials, display);
}
for (const button of document.querySelectorAll("[data-hold]")) fitBoxes(button);
walkRanges(document);
decideByKeys(document.querySelector("[data-decision]"));
document.documentElement.dataset.listening = ""; // from now on keys are heard
