// Boxes around faces that matched, over a picture of any shape: drawn in its own units, so that
// they lie on it however large it is shown.

export function fitBoxes(button) {
  const drawing = button.querySelector("[data-boxes]");
  const picture = button.querySelector("img.blurred");
  if (!drawing) return;

  function fit() {
    const { naturalWidth: width, naturalHeight: height } = picture;
    if (!width) return;
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.querySelector("g").setAttribute("transform", `scale(${width / 100} ${height / 100})`);
  }

  picture.addEventListener("load", fit);
  fit();
}

// Of a video: each box where its face lay at the looked-at moment nearest to the one that is shown,
// and none where the face was not in the picture.
export function pathsOf(button) {
  const boxes = [...button.querySelectorAll("polygon[data-path]")].map((box) => {
    const path = JSON.parse(box.dataset.path);
    const gaps = path.slice(1).map(([time], at) => time - path[at][0]).sort((one, two) => one - two);
    return { box, path, reach: Math.max(0.5, 0.55 * (gaps[gaps.length >> 1] ?? 1)) };
  });

  function at(moment) {
    for (const { box, path, reach } of boxes) {
      const away = ([time]) => Math.abs(time - moment);
      const place = path.reduce((best, one) => (away(one) < away(best) ? one : best));
      const [, left, top, right, bottom] = place;
      box.setAttribute("points", `${left},${top} ${right},${top} ${right},${bottom} ${left},${bottom}`);
      box.classList.toggle("away", away(place) > reach);
    }
  }

  return { at };
}
