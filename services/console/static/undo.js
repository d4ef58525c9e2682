// The seconds in which a decision can be undone, counted down; then the notice says so.

const form = document.querySelector("[data-undo]");
const left = form?.querySelector("[data-undo-left]");
let until = performance.now() + Number(form?.dataset.seconds ?? 0) * 1000;

function tick() {
  const seconds = Math.ceil((until - performance.now()) / 1000);
  if (seconds > 0) {
    left.textContent = `(${seconds} s)`;
    return;
  }
  clearInterval(ticking);
  form.querySelector("button").remove();
  form.querySelector("[role=status]").textContent = "Your decision has taken effect.";
}

const ticking = form ? setInterval(tick, 500) : 0;
