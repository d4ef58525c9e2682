// How a picture is shown while it is revealed. What is changed here holds for this page alone;
// the reviewer's own page keeps what they want always.

export function dials(section) {
  const panel = section.querySelector("[data-dials]");
  const now = {
    as: section.dataset.as === "cartoon",
    greyscale: section.dataset.greyscale === "1",
    blur: Number(section.dataset.blur),
    brightness: Number(section.dataset.brightness),
  };
  const pictures = new Set();

  function filter() {
    return `${now.greyscale ? "grayscale(1) " : ""}blur(${now.blur}px) brightness(${now.brightness}%)`;
  }

  for (const dial of panel.querySelectorAll("[data-dial]")) {
    const name = dial.dataset.dial;
    if (dial.type === "checkbox") dial.checked = now[name];
    else dial.value = now[name];
    dial.addEventListener("input", () => {
      now[name] = dial.type === "checkbox" ? dial.checked : Number(dial.value);
      for (const picture of pictures) picture.style.setProperty("filter", filter());
    });
  }
  panel.hidden = !document.querySelector("[data-hold]");

  return {
    dress(picture) {
      picture.style.setProperty("filter", filter());
      pictures.add(picture);
    },
    undress(picture) {
      pictures.delete(picture);
    },
    get as() {
      return now.as ? "cartoon" : "";
    },
  };
}
