// What a colour profile makes of stored colours, to the bit as the server's LittleCMS does it.
//
// Browsers convert profiles with rounding of their own, so a picture is read as it is stored and
// converted here, with LittleCMS's own fixed points (its 8-bit matrix shaper for RGB; for grey a table
// of 33 nodes). Profiles made of three colorants and curves, as those of phones and cameras are, and
// grey ones of one curve: of any other kind `coloursOf` knows nothing, and the browser converts.

const LARGEST = 4 * 1024 * 1024;
const CLASSES = ["mntr", "scnr", "spac"];
const TABLES = ["A2B0", "A2B1", "A2B2", "D2B0", "D2B1", "D2B2", "D2B3"];

// sRGB's curve, and the inverse of its colorants under D50, in doubles as LittleCMS has them: its
// sRGB is made in memory and never rounded to the 16 binary places of a profile.
const GAMMA = 2.4, A = 1 / 1.055, B = 0.055 / 1.055, C = 1 / 12.92, D = 0.04045;
const BREAK = (A * D + B) ** GAMMA;
const TO_SRGB = [
  [3.1341863642368195, -1.617208958998276, -0.4906940640063842],
  [-0.9787485041906946, 1.9161300967735877, 0.033433399159995617],
  [0.07196392780224682, -0.22899387345320335, 1.4057537328964447],
];
const WHITE = [0.9642, 1, 0.8249];
const XYZ_MOST = 1 + 32767 / 32768;

// What is to be done with a profile's colours: {turn}, by which a strip of RGBA is converted in its
// place, or null for `turn` where they are sRGB already; null where this is not known. `grey` says
// whether the picture has one channel of colour; undefined where the file does not tell.
export function coloursOf(profile, grey) {
  const tags = tagsOf(profile);
  if (!tags) return null;
  const space = name(profile, 16);
  if (space === "RGB ") return shaper(tags);
  if (space !== "GRAY" || grey === undefined) return null;
  return grey ? ramp(tags) : { turn: null }; // of no use to a picture in colour
}

function tagsOf(profile) {
  if (profile.length < 132 || profile.length > LARGEST) return null;
  if (name(profile, 36) !== "acsp" || name(profile, 20) !== "XYZ ") return null;
  if (!CLASSES.includes(name(profile, 12))) return null;
  const view = new DataView(profile.buffer, profile.byteOffset, profile.length);
  const count = view.getUint32(128);
  if (view.getUint32(0) !== profile.length || count > 100 || 132 + 12 * count > profile.length) {
    return null;
  }
  const tags = {};
  for (let at = 132; at < 132 + 12 * count; at += 12) {
    const [from, length] = [view.getUint32(at + 4), view.getUint32(at + 8)];
    if (from + length > profile.length || name(profile, at) in tags) return null;
    tags[name(profile, at)] = new DataView(profile.buffer, profile.byteOffset + from, length);
  }
  return TABLES.some((table) => table in tags) ? null : tags;
}

function name(bytes, at) {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}

function typeOf(tag) {
  return tag && tag.byteLength >= 12 ? name(new Uint8Array(tag.buffer, tag.byteOffset, 4), 0) : "";
}

// RGB: a table of each channel's 256 values in 1.14 fixed point, a matrix, and sRGB's curve by a table
// of 16385.
function shaper(tags) {
  const columns = ["rXYZ", "gXYZ", "bXYZ"].map((tag) => colorant(tags[tag]));
  const curves = ["rTRC", "gTRC", "bTRC"].map((tag) => curveOf(tags[tag]));
  if (columns.includes(null) || curves.includes(null)) return null;
  const matrix = TO_SRGB.map((row) => columns.map((column) =>
    row.reduce((sum, factor, at) => sum + factor * XYZ_MOST * (column[at] / XYZ_MOST), 0)));
  // LittleCMS would do without a matrix this near to none; in 16 binary places none comes as near.
  const off = matrix.flatMap((row, y) => row.map((value, x) => Math.abs(value - (x === y ? 1 : 0))));
  if (Math.max(...off) < 1.6e-5) return null;
  // What each value of each channel adds to each sum.
  const adds = curves.map((curve, x) => {
    const added = new Float64Array(256 * 3);
    for (let value = 0; value < 256; value++) {
      const fixed = fixed14(curve(Math.fround(value / 255)));
      for (let y = 0; y < 3; y++) added[value * 3 + y] = fixed14(matrix[y][x]) * fixed;
    }
    return added;
  });
  const most = adds.reduce((sum, added) => sum + added.reduce((far, one) =>
    Math.max(far, Math.abs(one)), 0), 0);
  if (!(most < 2 ** 31 - 0x2000)) return null; // LittleCMS's sums would overflow
  const [red, green, blue] = adds.map((added) => Int32Array.from(added));
  const out = Uint8Array.from({ length: 16385 }, (_, at) =>
    byteOf(word(Math.min(Math.max(toSrgb(Math.fround(at / 16384)), 0), 1) * 65535)));
  const value = (sum) => out[sum < 0 ? 0 : sum > 16384 ? 16384 : sum];
  const turn = (strip) => {
    for (let at = 0; at < strip.length; at += 4) {
      const r = strip[at] * 3, g = strip[at + 1] * 3, b = strip[at + 2] * 3;
      strip[at] = value((red[r] + green[g] + blue[b] + 0x2000) >> 14);
      strip[at + 1] = value((red[r + 1] + green[g + 1] + blue[b + 1] + 0x2000) >> 14);
      strip[at + 2] = value((red[r + 2] + green[g + 2] + blue[b + 2] + 0x2000) >> 14);
    }
  };
  return { turn: changesLittle(turn) ? null : turn };
}

// Whether no colour of 16 levels a channel moves by more than 1: the server then leaves all as it is.
function changesLittle(turn) {
  const before = new Uint8ClampedArray(4096 * 4);
  for (let at = 0; at < 4096; at++) {
    before.set([(at >> 8) * 17, (at >> 4 & 15) * 17, (at & 15) * 17, 255], at * 4);
  }
  const after = before.slice();
  turn(after);
  return after.every((value, at) => Math.abs(value - before[at]) <= 1);
}

// Grey: 33 nodes in 16 bits, between which LittleCMS interpolates.
function ramp(tags) {
  const curve = curveOf(tags.kTRC);
  if (!curve) return null;
  const nodes = Array.from({ length: 33 }, (_, at) => {
    const light = curve(Math.fround(word(at * 65535 / 32) / 65535));
    const xyz = WHITE.map((part) => Math.fround(part / XYZ_MOST * light));
    return TO_SRGB.map((row) => word(65535 * toSrgb(Math.fround(
      row.reduce((sum, factor, at) => sum + factor * XYZ_MOST * xyz[at], 0)))));
  });
  if (nodes[32].some((value) => 65535 - value > 0xf000)) return null;
  nodes[32] = [65535, 65535, 65535]; // white is made white
  const tables = [0, 1, 2].map((channel) => {
    const table = nodes.map((node) => node[channel]);
    return Uint8Array.from({ length: 256 }, (_, at) => byteOf(between(table, at * 257)));
  });
  return {
    turn(strip) {
      for (let at = 0; at < strip.length; at += 4) {
        for (let channel = 0; channel < 3; channel++) {
          strip[at + channel] = tables[channel][strip[at + channel]];
        }
      }
    },
  };
}

function colorant(tag) {
  if (typeOf(tag) !== "XYZ " || tag.byteLength < 20) return null;
  return [8, 12, 16].map((at) => tag.getInt32(at) / 65536);
}

// A curve as a function of 0 to 1, with results in float32; null where it is of another kind, or where
// black is not 0, as LittleCMS then moves black.
function curveOf(tag) {
  const curve = { curv: sampled, para: parametric }[typeOf(tag)]?.(tag) ?? null;
  return curve?.(0) === 0 ? curve : null;
}

function sampled(tag) {
  const count = tag.getUint32(8);
  if (count > 0x7fff || tag.byteLength < 12 + 2 * count) return null;
  if (count === 0) return Math.fround;
  if (count === 1) {
    const gamma = tag.getUint16(12) / 256;
    return (value) => Math.fround(value ** gamma);
  }
  const table = Uint16Array.from({ length: count }, (_, at) => tag.getUint16(12 + 2 * at));
  return (value) => Math.fround(between(table, word(value * 65535)) / 65535);
}

function parametric(tag) {
  const kind = tag.getUint16(8);
  const count = [1, 3, 4, 5, 7][kind];
  if (!count || tag.byteLength < 12 + 4 * count) return null;
  const given = Array.from({ length: count }, (_, at) => tag.getInt32(12 + 4 * at) / 65536);
  const [gamma, a, b, c, d, e = 0, f = 0] = given;
  if (kind > 0 && Math.abs(a) < 1e-4) return null;
  const power = (value) => a * value + b > 0 ? (a * value + b) ** gamma : 0;
  const formula = [
    (value) => value ** gamma,
    (value) => value >= -b / a ? power(value) : 0,
    // The third kind is 0, and not c, where its power is of nothing.
    (value) => value < Math.max(-b / a, 0) ? c : a * value + b > 0 ? power(value) + c : 0,
    (value) => value >= d ? power(value) : value * c,
    (value) => value >= d ? power(value) + e : value * c + f,
  ][kind];
  return (value) => Math.fround(formula(value));
}

// sRGB's curve the other way: light to value, in float32.
function toSrgb(light) {
  return Math.fround(light >= BREAK ? (light ** (1 / GAMMA) - B) / A : light / C);
}

function fixed14(value) {
  return Math.floor(value * 16384 + 0.5);
}

// A double to 16 bits, rounded and kept within them; first to 16 binary places, as LittleCMS does.
function word(value) {
  const up = value + 0.5;
  if (!(up > 0)) return 0;
  if (up >= 65535) return 65535;
  const magic = 2 ** 36 * 1.5;
  return Math.floor(up - 32767 + magic - magic) + 32767;
}

// 16 bits to 8, rounded.
function byteOf(value) {
  return Math.floor((value * 65281 + 8388608) / 2 ** 24) & 255;
}

// A table of 16 bits at a place of 0 to 65535, between its entries.
function between(table, place) {
  const last = table.length - 1;
  if (place === 65535) return table[last];
  const far = last * place;
  const fixed = far + Math.floor((far + 0x7fff) / 0xffff);
  const cell = Math.floor(fixed / 65536);
  const [low, high] = [table[cell], table[cell + 1]];
  return low + Math.floor(((high - low) * (fixed % 65536) + 0x8000) / 65536) & 0xffff;
}
