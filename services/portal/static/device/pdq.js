// PDQ of a luma plane and of its crops: bit for bit what pipeline/signals/pdq.py computes.
//
// The exact value of every coefficient comes from grids.js; the reference's differs from it by its
// own rounding. Where that could decide a bit, or the quality that is asked for, the crop is
// computed again in the reference's order of operations.

import { gridsOf } from "./grids.js";
import { referenceDct, referenceGrid } from "./reference.js";

export const MINIMUM_QUALITY = 50;
const SMALLEST_SIDE = 5;

// How far the reference's rounding may move a grid's value and a coefficient of a white picture; it
// is less in darker ones, and more in wider ones whose boxes' sums lie around a power of two, where a
// pixel enters with one rounding and leaves with another. The largest that were seen up to 4000 pixels
// of width are 1.6e-3 and 4.7e-3, at 8000 pixels 4.4e-3 and 9.0e-3; on dark pictures 1.3e-4 and 2.2e-4.
const GRID_DRIFT = 2.5e-3;
const DCT_DRIFT = 5e-3;
const DRIFT_WIDTH = 4000;
// Along the flat white of a ruled page the sums drift further: 5.1e-2 was seen. That much is allowed
// for in the code of a whole picture that is white for the most part; a photo never drifts so far.
const DRAWN = 12;
const WHITE = 240;

const f = Math.fround;

const BASIS = Float32Array.from({ length: 16 * 64 }, (_, at) =>
  f(Math.sqrt(2 / 64)) * Math.cos((Math.PI / 2 / 64) * ((at >> 6) + 1) * (2 * (at & 63) + 1)));

// Grey of one pixel, summed in float64; kept in a Float32Array it is the reference's luma.
export function grey(red, green, blue) {
  return red * 0.299 + green * 0.587 + blue * 0.114;
}

// Codes of `crops` of a float32 luma plane: {slot, pdq, quality}, `pdq` 64 hex digits. Crops whose
// quality is under MINIMUM_QUALITY say too little and are left out. The quality of slot 0 is exact.
export function hash(luma, width, height, crops) {
  const large = crops.filter(isLarge);
  const grids = gridsOf(luma, width, height, large);
  return large.flatMap((crop, at) => {
    const longer = Math.max(crop.right - crop.left, crop.bottom - crop.top);
    const wider = Math.max(1, longer / DRIFT_WIDTH);
    const reference = () => referenceGrid(luma, width, crop);
    const found = codeOf(grids[at], crop.slot === 0, wider, reference);
    return found ? [{ slot: crop.slot, ...found }] : [];
  });
}

function codeOf(exact, wanted, wider, reference) {
  let grid = exact;
  let coefficients = dct(grid);
  const rounding = wider * roundingOf(grid);
  const { least, most } = qualityWithin(grid, rounding * GRID_DRIFT);
  if (most < MINIMUM_QUALITY) return null;
  const unsure = wanted ? least !== most : least < MINIMUM_QUALITY;
  if (unsure || undecided(coefficients, rounding * DCT_DRIFT * (wanted && isWhite(grid) ? DRAWN : 1))) {
    grid = reference();
    coefficients = referenceDct(grid, BASIS);
  }
  const quality = qualityOf(steps(grid));
  return quality < MINIMUM_QUALITY ? null : { pdq: hex(coefficients), quality };
}

function isLarge({ left, top, right, bottom }) {
  return Math.min(right - left, bottom - top) >= SMALLEST_SIDE;
}

function dct(grid) {
  const half = new Float64Array(16 * 64);
  for (let i = 0; i < 16; i++) {
    for (let k = 0; k < 64; k++) {
      const weight = BASIS[i * 64 + k];
      for (let j = 0; j < 64; j++) half[i * 64 + j] += weight * grid[k * 64 + j];
    }
  }
  const whole = new Float64Array(256);
  for (let i = 0; i < 16; i++) {
    for (let j = 0; j < 16; j++) {
      let sum = 0;
      for (let k = 0; k < 64; k++) sum += half[i * 64 + k] * BASIS[j * 64 + k];
      whole[i * 16 + j] = sum;
    }
  }
  return whole;
}

function sorted(coefficients) {
  return Float64Array.from(coefficients).sort();
}

// A bit says that a coefficient is above their median; the last coefficient's bit comes first.
function hex(coefficients) {
  const median = sorted(coefficients)[127];
  let digits = "";
  for (let at = 252; at >= 0; at -= 4) {
    let digit = 0;
    for (let bit = 3; bit >= 0; bit--) digit = digit * 2 + (coefficients[at + bit] > median);
    digits += digit.toString(16);
  }
  return digits;
}

// How coarsely sums are rounded, of 1 where the picture is white somewhere.
function roundingOf(grid) {
  let most = 0;
  for (const value of grid) most = Math.max(most, value);
  return Math.min(1, (1.5 * most) / 255);
}

function isWhite(grid) {
  let white = 0;
  for (const value of grid) white += value > WHITE;
  return 2 * white > grid.length;
}

function undecided(coefficients, drift) {
  const inOrder = sorted(coefficients);
  return inOrder[128] - inOrder[127] <= 2 * drift;
}

// Steps between neighbours, down and across, in percent of the grey range, in float32 as the
// reference takes them.
function steps(grid) {
  const found = new Float32Array(2 * 63 * 64);
  let at = 0;
  for (let y = 0; y < 64; y++) {
    for (let x = 0; x < 64; x++) {
      const here = f(grid[y * 64 + x]);
      if (y < 63) found[at++] = Math.abs(f(f(f(here - f(grid[y * 64 + x + 64])) * 100) / 255));
      if (x < 63) found[at++] = Math.abs(f(f(f(here - f(grid[y * 64 + x + 1])) * 100) / 255));
    }
  }
  return found;
}

// 0 to 100: whole percents of all steps, summed.
function qualityOf(found, slack = 0) {
  let total = 0;
  for (const step of found) total += Math.trunc(Math.max(step + slack, 0));
  return Math.min(Math.floor(total / 90), 100);
}

// Between which values the reference's quality lies.
function qualityWithin(grid, drift) {
  const found = steps(grid);
  const slack = (2 * drift * 100) / 255;
  return { least: qualityOf(found, -slack), most: qualityOf(found, slack) };
}
