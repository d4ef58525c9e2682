// Copy and print what is shown once.

const said = document.getElementById("copied");

export function numbers() {
  const rows = document.querySelectorAll("#keep dt");
  return [...rows].map((name) => `${name.textContent}: ${name.nextElementSibling.textContent}`).join("\n");
}

document.querySelector("[data-copy]")?.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(numbers());
    said.textContent = said.dataset.said;
  } catch {
    getSelection().selectAllChildren(document.getElementById("keep"));
    said.textContent = said.dataset.marked;
  }
});
document.querySelector("[data-print]")?.addEventListener("click", () => print());
