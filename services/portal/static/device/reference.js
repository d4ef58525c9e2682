// PDQ in the reference's own order of float32 operations, as pipeline/signals/_pdq_peer.py has it.
//
// The reference blurs with running sums in float32, whose rounding drifts by some 5e-4 grey levels.
// Where coefficients lie so close to the median that this decides a bit, only the same additions,
// subtractions and divisions in the same order give the same bit.
//
// Rows stream through both blurs: only as many are held as a box is high. Of the second blur only
// what the 64 kept lines and columns need is written down. Means are sums times the reciprocal in
// double precision: a sum of 24 bits over a small whole number never lies so close to the middle
// between two float32 that this could round otherwise than the division.

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
  const from = crop.top * stride + crop.left;
  if (width === 64 && height === 64) {
    for (let y = 0; y < 64; y++) {
      const start = from + y * stride;
      grid.set(luma.subarray(start, start + 64), y * 64);
    }
    return grid;
  }
  const narrow = new Float32Array(64 * height);
  const strip = rowsOf(ROWS, width);
  const finish = (first, count) => boxAcross(strip, columns, narrow, first, count, width);
  boxDown(luma, from, stride, width, height, strip, finish);
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

// Both boxes of the first blur. Rows of means come out in `strip`, ROWS at a time: `finish(y, n)`
// is called with the first one's number and how many there are. Every row is an array of its own,
// every inner loop a function of its own: engines make faster code of them.
function boxDown(luma, from, stride, width, height, strip, finish) {
  const box = windowOf(height);
  const ahead = aheadOf(box);
  const places = box + ROWS;
  const kept = rowsOf(places, width); // by their numbers, in a ring
  const source = rowsOf(ROWS, width);
  const sum = new Float32Array(width);
  let size = 0, read = 0, made = 0, ready = 0;
  for (let line = -ahead; line < height; line++) {
    const enter = line + ahead;
    const leave = enter - box;
    if (enter < height && enter >= read) {
      const count = Math.min(ROWS, height - read);
      for (let row = 0; row < count; row++) {
        const start = from + (read + row) * stride;
        source[row].set(luma.subarray(start, start + width));
      }
      // Where fewer than four are left, what is made of the others lies where nothing is needed.
      boxRows(...source, kept[read % places], kept[(read + 1) % places], kept[(read + 2) % places],
        kept[(read + 3) % places], width);
      read += count;
    }
    const arriving = enter < height ? kept[enter % places] : null;
    const leaving = leave >= 0 ? kept[leave % places] : null;
    size += (arriving ? 1 : 0) - (leaving ? 1 : 0);
    if (arriving && leaving && line >= 0) {
      slide(sum, arriving, leaving, strip[ready], 1 / size, width);
    } else {
      if (arriving) for (let x = 0; x < width; x++) sum[x] += arriving[x];
      if (leaving) for (let x = 0; x < width; x++) sum[x] -= leaving[x];
      if (line >= 0) for (let x = 0; x < width; x++) strip[ready][x] = sum[x] * (1 / size);
    }
    if (line < 0) continue;
    ready++;
    if (ready === ROWS || line === height - 1) {
      finish(made, ready);
      made += ready;
      ready = 0;
    }
  }
}

function rowsOf(count, width) {
  return Array.from({ length: count }, () => new Float32Array(width));
}

function slide(sum, arriving, leaving, target, share, width) {
  for (let x = 0; x < width; x++) {
    const total = f(f(sum[x] + arriving[x]) - leaving[x]);
    sum[x] = total;
    target[x] = total * share;
  }
}

function aheadOf(box) {
  return Math.floor((box + 2) / 2) - 1;
}

// Means over a box around each pixel of a row by one running sum, narrower at the ends. Four rows
// go side by side: each sum waits for itself, so that four take as long as one.
function boxRows(ia, ib, ic, id, oa, ob, oc, od, width) {
  const box = windowOf(width);
  const ahead = aheadOf(box);
  let a = 0, b = 0, c = 0, d = 0, enter = 0;
  for (; enter < box; enter++) {
    a = f(a + ia[enter]);
    b = f(b + ib[enter]);
    c = f(c + ic[enter]);
    d = f(d + id[enter]);
    const at = enter - ahead;
    if (at < 0) continue;
    const share = 1 / (enter + 1);
    oa[at] = a * share;
    ob[at] = b * share;
    oc[at] = c * share;
    od[at] = d * share;
  }
  const share = 1 / box;
  for (; enter < width; enter++) {
    const leave = enter - box;
    const at = enter - ahead;
    a = f(f(a + ia[enter]) - ia[leave]);
    b = f(f(b + ib[enter]) - ib[leave]);
    c = f(f(c + ic[enter]) - ic[leave]);
    d = f(f(d + id[enter]) - id[leave]);
    oa[at] = a * share;
    ob[at] = b * share;
    oc[at] = c * share;
    od[at] = d * share;
  }
  for (; enter < width + ahead; enter++) {
    const leave = enter - box;
    const at = enter - ahead;
    a = f(a - ia[leave]);
    b = f(b - ib[leave]);
    c = f(c - ic[leave]);
    d = f(d - id[leave]);
    const less = 1 / (width - leave - 1);
    oa[at] = a * less;
    ob[at] = b * less;
    oc[at] = c * less;
    od[at] = d * less;
  }
}

// The same of a strip's rows, written down at 64 columns alone: narrow[y * 64 + k].
function boxAcross([ia, ib, ic, id], columns, narrow, first, count, width) {
  const box = windowOf(width);
  const ahead = aheadOf(box);
  const last = count - 1;
  const oa = first * 64, ob = (first + 1) * 64, oc = (first + 2) * 64, od = (first + 3) * 64;
  let a = 0, b = 0, c = 0, d = 0, enter = 0;
  for (let k = 0; k < 64; k++) {
    const until = columns[k] + ahead;
    const filling = Math.min(until + 1, box, width);
    for (; enter < filling; enter++) {
      a = f(a + ia[enter]);
      b = f(b + ib[enter]);
      c = f(c + ic[enter]);
      d = f(d + id[enter]);
    }
    const full = Math.min(until + 1, width);
    for (; enter < full; enter++) {
      const leave = enter - box;
      a = f(f(a + ia[enter]) - ia[leave]);
      b = f(f(b + ib[enter]) - ib[leave]);
      c = f(f(c + ic[enter]) - ic[leave]);
      d = f(f(d + id[enter]) - id[leave]);
    }
    for (; enter <= until; enter++) {
      const leave = enter - box;
      a = f(a - ia[leave]);
      b = f(b - ib[leave]);
      c = f(c - ic[leave]);
      d = f(d - id[leave]);
    }
    const share = 1 / (Math.min(enter, width) - Math.max(enter - box, 0));
    narrow[oa + k] = a * share;
    if (last > 0) narrow[ob + k] = b * share;
    if (last > 1) narrow[oc + k] = c * share;
    if (last > 2) narrow[od + k] = d * share;
  }
}

// Means down the 64 columns, in place: a row is overwritten once nothing needs it.
function boxColumns(plane, width, height) {
  const box = windowOf(height);
  const ahead = aheadOf(box);
  const kept = rowsOf(box + 1, width);
  const sum = new Float32Array(width);
  let size = 0;
  for (let line = -ahead; line < height; line++) {
    const enter = line + ahead;
    const leave = enter - box;
    const entering = enter < height;
    if (entering) kept[enter % (box + 1)].set(plane.subarray(enter * width, (enter + 1) * width));
    const arriving = kept[enter % (box + 1)];
    const leaving = leave >= 0 ? kept[leave % (box + 1)] : null;
    if (entering) size++;
    if (leaving) size--;
    for (let x = 0; x < width; x++) {
      let total = sum[x];
      if (entering) total = f(total + arriving[x]);
      if (leaving) total = f(total - leaving[x]);
      sum[x] = total;
      if (line >= 0) plane[line * width + x] = total / size;
    }
  }
}
