// Area means in whole numbers, as the server makes a large picture smaller: the same bytes.
//
// Along one axis, `n` pixels become `m`. In units of 1/m of a pixel an output covers [j*n, (j+1)*n)
// and an input [i*m, (i+1)*m); a weight is the overlap, a whole number. No sum reaches 2 ** 53, so
// plain numbers are exact. Rows come in one after another: the picture is never held as a whole.

export const FULL_RESOLUTION_PIXELS = 16_000_000;
export const LONGER_SIDE = 2048;

// The size that is hashed: all of it up to 16 megapixels, 2048 on the longer side above.
export function hashedSize(width, height) {
  const most = Math.max(width, height);
  if (width * height <= FULL_RESOLUTION_PIXELS || most <= LONGER_SIDE) return [width, height];
  return [width, height].map((side) =>
    Math.max(1, Math.floor((2 * side * LONGER_SIDE + most) / (2 * most))));
}

// Takes rows of 3 * width bytes and calls `emit(row, y)` with rows of 3 * newWidth bytes.
export function shrinker(width, height, newWidth, newHeight, emit) {
  const area = width * height;
  let sum = new Float64Array(width * 3);
  const out = new Uint8Array(newWidth * 3);
  const places = overlaps(width, newWidth);
  let y = 0, made = 0;

  function finish() {
    for (let j = 0; j < newWidth; j++) {
      let red = 0, green = 0, blue = 0;
      for (let i = places.low[j]; i < places.high[j]; i++) {
        const weight = Math.min((j + 1) * width, (i + 1) * newWidth)
          - Math.max(j * width, i * newWidth);
        red += weight * sum[i * 3];
        green += weight * sum[i * 3 + 1];
        blue += weight * sum[i * 3 + 2];
      }
      out[j * 3] = Math.floor((2 * red + area) / (2 * area));
      out[j * 3 + 1] = Math.floor((2 * green + area) / (2 * area));
      out[j * 3 + 2] = Math.floor((2 * blue + area) / (2 * area));
    }
    emit(out, made++);
    sum.fill(0);
  }

  return function push(row) {
    const start = y * newHeight;
    const end = start + newHeight;
    const edge = (made + 1) * height;
    const inside = Math.min(end, edge) - start;
    for (let x = 0; x < row.length; x++) sum[x] += inside * row[x];
    if (end >= edge) {
      finish();
      const rest = end - edge;
      if (rest > 0) for (let x = 0; x < row.length; x++) sum[x] += rest * row[x];
    }
    y++;
  };
}

function overlaps(old, made) {
  const low = new Int32Array(made);
  const high = new Int32Array(made);
  for (let j = 0; j < made; j++) {
    low[j] = Math.floor((j * old) / made);
    high[j] = Math.ceil(((j + 1) * old) / made);
  }
  return { low, high };
}
