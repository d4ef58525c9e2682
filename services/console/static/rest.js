// The least that a break lasts, counted down. The server counts too, and its count is the one.

const form = document.querySelector("[data-rest]");
const button = form.querySelector("button");
const left = form.querySelector("[data-rest-left]");
const until = performance.now() + Number(form.dataset.seconds) * 1000;

const ticking = setInterval(() => {
  const seconds = Math.ceil((until - performance.now()) / 1000);
  if (seconds > 0) {
    left.textContent = `${seconds} s`;
    return;
  }
  clearInterval(ticking);
  button.disabled = false;
  form.querySelector("#wait").textContent = "You can go on when you like.";
}, 500);
