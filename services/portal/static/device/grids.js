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
//
// A line needs sums of a few rows that lie two boxes apart at most, so the last rows of sums are
// kept in a ring, and a line is made in one walk over them when its last row has come.
export function gridsOf(luma, width, height, crops) {
  const grids = crops.map(() => new Float64Array(LINES * LINES));
  const bands = bandsOf(crops);
  const { starts, lines, reach } = scheduleOf(bands, height);
  const places = reach + 1;
  const single = Array.from({ length: places }, () => new Float64Array(width));
  const twice = Array.from({ length: places }, () => new Float64Array(width));
  const along = [new Float64Array(width + 2), new Float64Array(width + 2)];
  const sum = new Float64Array(width);
  for (let y = 0; y <= height + 1; y++) {
    const here = y % places, before = (y + places - 1) % places;
    if (y > 0) advance(single[before], twice[before], single[here], twice[here], luma,
      y <= height ? (y - 1) * width : -1, width);
    for (let at = starts[y]; at < starts[y + 1]; at++) {
      const { band, line, terms } = lines[at];
      const { left, right } = bands[band];
      const rows = terms.map(([double, row]) => (double ? twice : single)[row % places]);
      if (isPlain(terms)) along4(rows, terms[3][2], left, right, along);
      else {
        sum.fill(0, left, right);
        rows.forEach((values, term) => addScaled(sum, values, terms[term][2], left, right));
        alongOf(sum, left, right, along);
      }
      across(line, bands[band], grids, along);
    }
  }
  return grids;
}

// Whether a line is one that no edge cuts: a second difference of double sums, in the order of rows.
function isPlain(terms) {
  return terms.length === 4 && terms.every(([double]) => double)
    && terms[0][2] === terms[3][2] && terms[1][2] === -terms[0][2] && terms[2][2] === -terms[0][2];
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

// All lines of all bands by the row of sums that each waits for; `reach` is how far back a line looks.
function scheduleOf(bands, height) {
  const lines = [];
  let reach = 1;
  bands.forEach(({ top, bottom }, band) => {
    centresOf(bottom - top).forEach((centre, line) => {
      const terms = termsOf(bottom - top, centre)
        .map(([double, place, weight]) => [double, top + place, weight])
        .sort((one, other) => one[1] - other[1]);
      const due = terms.at(-1)[1];
      reach = Math.max(reach, due - terms[0][1]);
      lines.push({ due, band, line, terms });
    });
  });
  lines.sort((one, other) => one.due - other.due);
  const starts = new Int32Array(height + 3);
  for (const { due } of lines) starts[due + 1]++;
  for (let row = 0; row < height + 2; row++) starts[row + 1] += starts[row];
  return { starts, lines, reach };
}

// The next row of running sums, and of running sums of these. Below the picture the former stay.
function advance(single, twice, nextSingle, nextTwice, luma, from, width) {
  if (from < 0) {
    for (let x = 0; x < width; x++) nextTwice[x] = twice[x] + single[x];
    return;
  }
  for (let x = 0; x < width; x++) {
    const before = single[x];
    nextTwice[x] = twice[x] + before;
    nextSingle[x] = before + luma[from + x];
  }
}

function addScaled(sum, values, weight, from, to) {
  for (let x = from; x < to; x++) sum[x] += weight * values[x];
}

// Running sums along a line, and running sums of these.
function alongOf(sum, left, right, [single, twice]) {
  let once = 0, double = 0;
  const length = right - left;
  for (let x = 0; x < length; x++) {
    double += once;
    once += sum[left + x];
    twice[x + 1] = double;
    single[x + 1] = once;
  }
  twice[length + 1] = double + once;
}

// The same of a line that four rows of double sums make.
function along4([a, b, c, d], weight, left, right, [single, twice]) {
  let once = 0, double = 0, at = 1;
  for (let x = left; x < right; x++, at++) {
    double += once;
    once += weight * ((d[x] - c[x]) - (b[x] - a[x]));
    twice[at] = double;
    single[at] = once;
  }
  twice[at] = double + once;
}

// One finished line of a band: read at 64 places for each of the band's crops.
function across(line, band, grids, [single, twice]) {
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
