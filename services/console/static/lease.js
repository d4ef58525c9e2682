// The claim on a case: counted down, renewed while somebody is at work on the page, and let go when
// the page is left. Whoever loads it again within some seconds has the case still.

import { post } from "./post.js";

const BACK = 3000; // ms after which somebody who came back says so again
const SIGNS_OF_WORK = ["keydown", "pointerdown", "pointermove", "input", "scroll"];

export function watchLease(panel, lostNotice, credentials) {
  const words = panel.querySelector("[data-lease-words]");
  const left = panel.querySelector("[data-lease-left]");
  let length = Number(panel.dataset.seconds);
  let until = performance.now() + length * 1000;
  let worked = false;
  let asking = false;
  let next = performance.now() + pause();

  // Often enough to survive a failed try or two, never more than once in five seconds.
  function pause() {
    return Math.max(5, Math.min(60, length / 5)) * 1000;
  }

  // A pointer that lies still "moves" when the page changes under it.
  function sign(event) {
    worked ||= event.type !== "pointermove" || event.movementX !== 0 || event.movementY !== 0;
  }

  for (const kind of SIGNS_OF_WORK) {
    document.addEventListener(kind, sign, { passive: true, capture: true });
  }

  function lost() {
    clearInterval(ticking);
    words.textContent = "Your claim has ended";
    left.textContent = "";
    lostNotice.hidden = false;
  }

  async function renew() {
    asking = true;
    worked = false;
    const asked = performance.now();
    try {
      const response = await post(`/cases/${panel.dataset.case}/renew`, credentials, "application/json");
      if (response.ok) {
        length = (await response.json()).seconds;
        until = asked + length * 1000;
      } else if (response.status < 500) {
        lost();
      } else {
        worked = true;
      }
    } catch {
      worked = true; // the console is away; ask again while the claim holds
    }
    asking = false;
    next = performance.now() + pause();
  }

  function tick() {
    const seconds = Math.ceil((until - performance.now()) / 1000);
    if (seconds <= 0) return lost();
    const minutes = Math.floor(seconds / 60);
    left.textContent = `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
    panel.classList.toggle("ending", seconds < 60);
    if (worked && !asking && !document.hidden && performance.now() >= next) renew();
  }

  // A form that is sent says itself what becomes of the case.
  let leaves = true;
  document.addEventListener("submit", () => (leaves = false));
  // The same case in another tab must hear of it: it is held there still.
  const others = new BroadcastChannel(`case ${panel.dataset.case}`);
  others.addEventListener("message", back);
  const leftHere = `left ${panel.dataset.case}`;
  window.addEventListener("pagehide", () => {
    if (!leaves || !lostNotice.hidden) return;
    navigator.sendBeacon(`/cases/${panel.dataset.case}/leave`, new URLSearchParams(credentials));
    sessionStorage.setItem(leftHere, "1");
    others.postMessage("left");
  });
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) back();
  });

  // Twice: what says that the page was left may be on its way still.
  function back() {
    renew();
    setTimeout(renew, BACK);
  }

  if (sessionStorage.getItem(leftHere)) {
    sessionStorage.removeItem(leftHere);
    back();
  }

  const ticking = setInterval(tick, 1000);
  tick();
}
