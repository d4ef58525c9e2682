// The 64 x 64 grids of many crops of one picture in a single walk over its pixels.
//
// PDQ blurs with two boxes a side and keeps 64 lines. Both are linear and separable, so a grid line
// is a weighted sum of pixels, and a box of a box is a second difference of double running sums:
// each line costs four rows of numbers, whatever its width. Sums run down the picture once for all
// crops and along each finished line once for all crops of that height; in float64 what comes out
// differs from the exact value by 1e-8 at most.
//
// See pipeline/signals/pdq.py, which does the same with matrices.

const LINES = 64;

export function windowOf(length) {
  return Math.floor((length + 127) / 128);
}

export function centresOf(length) {
  return Array.from({ length: LINES }, (_, at) => Math.floor(((at + 0.5) * length) / LINES));
}

// What one grid line of `length` pixels is made of: [twice, place, weight] each, where `place`
// counts pixels from the start of the side, and `twice` says whether the weight is of the double
// running sum there or of the single one.
function termsOf(length, centre) {
  const box = windowOf(length);
  const after = Math.floor((box + 2) / 2) - 1;
  const before = box - 1 - after;
  const first = Math.max(centre - before, 0);
  const last = Math.min(centre + after, length - 1);
  const share = 1 / (last - first + 1);
  const terms = [];
  for (let at = first; at <= last; at++) {
    const low = Math.max(at - before, 0);
    const high = Math.min(at + after, length - 1);
    if (high - low + 1 < box) {
      const weight = share / (high - low + 1);
      terms.push([false, high + 1, weight], [false, low, -weight]);
    }
  }
  // Boxes that the edge does not cut all have the same size, so their sums telescope.
  const from = Math.max(first, before);
  const to = Math.min(last, length - 1 - after);
  if (from <= to) {
    const weight = share / box;
    terms.push([true, to + after + 2, weight], [true, from + after + 1, -weight],
      [true, to - before + 1, -weight], [true, from - before, weight]);
  }
  return terms;
}

// Grids of `crops` ({left, top, right, bottom}) of a luma plane, row by row: Float64Array(4096)
// each. Sides may be of any length from 1 up.
export function gridsOf(luma, width, height, crops) {
  const grids = crops.map(() => new Float64Array(LINES * LINES));
  const bands = bandsOf(crops);
  const { starts, terms } = scheduleOf(bands, height);
  const single = new Float64Array(width);
  const twice = new Float64Array(width);
  const along = [new Float64Array(width + 2), new Float64Array(width + 2)];
  const spare = [];
  const open = new Map();
  for (let y = 0; y <= height + 1; y++) {
    for (let at = starts[y]; at < starts[y + 1]; at++) {
      const { band, line, weight, double, last } = terms[at];
      const key = band * LINES + line;
      let sum = open.get(key);
      if (!sum) {
        sum = spare.pop() ?? new Float64Array(width);
        sum.fill(0);
        open.set(key, sum);
      }
      addScaled(sum, double ? twice : single, weight, bands[band].left, bands[band].right);
      if (last) {
        across(sum, line, bands[band], grids, along);
        open.delete(key);
        spare.push(sum);
      }
    }
    if (y < height) advance(single, twice, luma, y * width, width);
    else addScaled(twice, single, 1, 0, width);
  }
  return grids;
}

// Crops of the same height share their lines; those of the same width share how a line is read.
function bandsOf(crops) {
  const bands = new Map();
  const plans = new Map();
  crops.forEach((crop, at) => {
    const key = `${crop.top} ${crop.bottom}`;
    const band = bands.get(key)
      ?? { top: crop.top, bottom: crop.bottom, left: Infinity, right: 0, members: [] };
    bands.set(key, band);
    const side = `${crop.left} ${crop.right}`;
    if (!plans.has(side)) plans.set(side, planOf(crop.left, crop.right));
    band.left = Math.min(band.left, crop.left);
    band.right = Math.max(band.right, crop.right);
    band.members.push({ at, plan: plans.get(side) });
  });
  return [...bands.values()];
}

function planOf(left, right) {
  const starts = new Int32Array(LINES + 1);
  const places = [], weights = [], kinds = [];
  centresOf(right - left).forEach((centre, column) => {
    for (const [double, place, weight] of termsOf(right - left, centre)) {
      places.push(left + place);
      weights.push(weight);
      kinds.push(double ? 1 : 0);
    }
    starts[column + 1] = places.length;
  });
  return {
    starts,
    places: Int32Array.from(places),
    weights: Float64Array.from(weights),
    kinds: Uint8Array.from(kinds),
  };
}

// All terms of all bands' lines, in the order of the rows at which they fall due.
function scheduleOf(bands, height) {
  const terms = [];
  bands.forEach(({ top, bottom }, band) => {
    centresOf(bottom - top).forEach((centre, line) => {
      const found = termsOf(bottom - top, centre).sort((one, other) => one[1] - other[1]);
      found.forEach(([double, place, weight], at) => terms.push({
        row: top + place, band, line, weight, double, last: at === found.length - 1,
      }));
    });
  });
  terms.sort((one, other) => one.row - other.row);
  const starts = new Int32Array(height + 3);
  for (const { row } of terms) starts[row + 1]++;
  for (let row = 0; row < height + 2; row++) starts[row + 1] += starts[row];
  return { starts, terms };
}

function advance(single, twice, luma, from, width) {
  for (let x = 0; x < width; x++) {
    const before = single[x];
    twice[x] += before;
    single[x] = before + luma[from + x];
  }
}

function addScaled(sum, values, weight, from, to) {
  for (let x = from; x < to; x++) sum[x] += weight * values[x];
}

// One finished line of a band: read at 64 places for each of the band's crops.
function across(sum, line, band, grids, [single, twice]) {
  const length = band.right - band.left;
  for (let x = 0; x <= length; x++) {
    twice[x + 1] = twice[x] + single[x];
    single[x + 1] = single[x] + (x < length ? sum[band.left + x] : 0);
  }
  for (const { at, plan } of band.members) {
    const grid = grids[at];
    for (let column = 0; column < LINES; column++) {
      let total = 0;
      for (let term = plan.starts[column]; term < plan.starts[column + 1]; term++) {
        const place = plan.places[term] - band.left;
        total += plan.weights[term] * (plan.kinds[term] ? twice[place] : single[place]);
      }
      grid[line * LINES + column] = total;
    }
  }
}
