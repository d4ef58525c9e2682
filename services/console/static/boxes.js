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
