// PDQ in the reference's own order of float32 operations, as pipeline/signals/_pdq_peer.py has it.
//
// The reference blurs with running sums in float32, whose rounding drifts by some 5e-4 grey levels.
// Where coefficients lie so close to the median that this decides a bit, only the same additions,
// subtractions and divisions in the same order give the same bit.
//
// Of the second blur only what the 64 kept lines and columns need is written down.

import { centresOf, windowOf } from "./grids.js";

const f = Math.fround;
const ROWS = 4;

// 64 x 64 grid, Float32Array, of a crop {left, top, right, bottom} of a float32 luma plane that is
// `stride` pixels wide. No side may be under 5 pixels.
export function referenceGrid(luma, stride, crop) {
  const width = crop.right - crop.left;
  const height = crop.bottom - crop.top;
  const rows = centresOf(height);
  const columns = centresOf(width);
  const grid = new Float32Array(64 * 64);
  if (width === 64 && height === 64) {
    for (let y = 0; y < 64; y++) {
      const from = (crop.top + y) * stride + crop.left;
      grid.set(luma.subarray(from, from + 64), y * 64);
    }
    return grid;
  }
  const plane = new Float32Array(width * height);
  boxRows(luma, crop.top * stride + crop.left, stride, plane, width, height);
  boxColumns(plane, width, height);
  const narrow = new Float32Array(64 * height);
  const strip = new Float32Array(ROWS * width);
  for (let y = 0; y < height; y += ROWS) {
    const count = Math.min(ROWS, height - y);
    boxRows(plane, y * width, width, strip, width, count);
    for (let row = 0; row < count; row++) {
      for (let k = 0; k < 64; k++) narrow[(y + row) * 64 + k] = strip[row * width + columns[k]];
    }
  }
  boxColumns(narrow, 64, height);
  for (let k = 0; k < 64; k++) grid.set(narrow.subarray(rows[k] * 64, rows[k] * 64 + 64), k * 64);
  return grid;
}

// 16 x 16 low frequencies of a float32 grid, each sum taken in order of its index.
export function referenceDct(grid, basis) {
  const half = new Float32Array(16 * 64);
  for (let k = 0; k < 64; k++) {
    for (let i = 0; i < 16; i++) {
      const weight = basis[i * 64 + k];
      for (let j = 0; j < 64; j++) {
        half[i * 64 + j] = f(half[i * 64 + j] + f(weight * grid[k * 64 + j]));
      }
    }
  }
  const whole = new Float32Array(256);
  for (let i = 0; i < 16; i++) {
    for (let j = 0; j < 16; j++) {
      let sum = 0;
      for (let k = 0; k < 64; k++) sum = f(sum + f(half[i * 64 + k] * basis[j * 64 + k]));
      whole[i * 16 + j] = sum;
    }
  }
  return whole;
}

// Means over a box around each pixel of a row by one running sum, narrower at the ends. Four rows
// go side by side: each sum waits for itself, so that four take as long as one.
function boxRows(source, from, stride, target, width, height) {
  const box = windowOf(width);
  const ahead = Math.floor((box + 2) / 2) - 1;
  for (let y = 0; y < height; y += ROWS) {
    // Where fewer than four are left, the last is done again; it comes out the same.
    const rows = [0, 1, 2, 3].map((row) => Math.min(y + row, height - 1));
    const [ia, ib, ic, id] = rows.map((row) => from + row * stride);
    const [oa, ob, oc, od] = rows.map((row) => row * width);
    let a = 0, b = 0, c = 0, d = 0, size = 0;
    for (let enter = 0; enter < width + ahead; enter++) {
      const leave = enter - box;
      const at = enter - ahead;
      if (enter < width) {
        a = f(a + source[ia + enter]);
        b = f(b + source[ib + enter]);
        c = f(c + source[ic + enter]);
        d = f(d + source[id + enter]);
        size++;
      }
      if (leave >= 0) {
        a = f(a - source[ia + leave]);
        b = f(b - source[ib + leave]);
        c = f(c - source[ic + leave]);
        d = f(d - source[id + leave]);
        size--;
      }
      if (at >= 0) {
        target[oa + at] = a / size;
        target[ob + at] = b / size;
        target[oc + at] = c / size;
        target[od + at] = d / size;
      }
    }
  }
}

// The same down all columns at once, in place: a row is overwritten once nothing needs it.
function boxColumns(plane, width, height) {
  const box = windowOf(height);
  const ahead = Math.floor((box + 2) / 2) - 1;
  const kept = Array.from({ length: box + 1 }, () => new Float32Array(width));
  const sum = new Float32Array(width);
  let size = 0;
  for (let line = -ahead; line < height; line++) {
    const enter = line + ahead;
    const entering = enter < height;
    const leave = enter - box;
    if (entering) kept[enter % (box + 1)].set(plane.subarray(enter * width, (enter + 1) * width));
    const arriving = kept[enter % (box + 1)];
    const leaving = leave >= 0 ? kept[leave % (box + 1)] : null;
    if (entering) size++;
    if (leaving) size--;
    const target = line * width;
    if (entering && leaving && line >= 0) {
      for (let x = 0; x < width; x++) {
        const total = f(f(sum[x] + arriving[x]) - leaving[x]);
        sum[x] = total;
        plane[target + x] = total / size;
      }
      continue;
    }
    for (let x = 0; x < width; x++) {
      let total = sum[x];
      if (entering) total = f(total + arriving[x]);
      if (leaving) total = f(total - leaving[x]);
      sum[x] = total;
      if (line >= 0) plane[target + x] = total / size;
    }
  }
}
