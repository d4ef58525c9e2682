// A picture file to its canonical luma plane: upright, sRGB, on white, smaller above 16 megapixels.
//
// Two ways to a file's pixels: a canvas, which every browser has, and WebCodecs' ImageDecoder. A
// browser against fingerprinting may change what a canvas gives back, so `openEye` first reads a
// picture whose pixels it knows, and takes the first way that gives them back unchanged. A JPEG, which
// is never transparent, is read in half a canvas's time through a VideoFrame where that works. Pixels
// are read in strips: of a 48 megapixel photo only the browser's own decoded copy is held, and
// one luma plane of at most 16 million numbers.

import { coloursOf } from "./colours.js";
import { MIME, headerOf, kindOf } from "./formats.js";
import { grey } from "./pdq.js";
import { Problem } from "./problems.js";
import { hashedSize, shrinker } from "./shrink.js";

const MOST_BYTES = 64 * 1024 * 1024;
const MOST_PIXELS = 100_000_000;
const LONGEST_SIDE = 30_000;
const MOST_PROFILE = 1024 * 1024; // of a PNG; its decoder on the server unpacks no more
const STRIP_PIXELS = 1 << 18;

// By how many degrees to the right a picture is turned, by its EXIF orientation; the others mirror it.
const ROTATIONS = { 1: 0, 3: 180, 6: 90, 8: 270 };

// A PNG whose profile has red, green and blue in each other's places and no gamma: whoever heeds it
// sees other pixels. tests/integration/test_device_hashing.py looks at what is in it.
const PROFILED =
  "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAECAIAAAA8r+mnAAAAzmlDQ1BJQ0MgUHJvZmlsZQAAeJxjYGC8wwAETA4MDLl5"
  + "JUVB7k4KEZFRCgxIIDG5uIABL/h2jYERRF/Wxa8OK+AsAloIpD8AsUg6mM3IAmInQdgSIHZ5SUEJkK0DYheFBDkD2UAX"
  + "M/ClQ9gBIHYShJ0AYqekFicD2SB3xyUXFIH0XgCyeRB+89rPwLDRnIGBaydCTMOCgUGQm4HhBJJY830GBtv9////340Q"
  + "Q/g3ubSoDOoPRpAQIT7EXWDAHGBMRmgRACWpFSUg2tnZgAEAHIo3d55hEN8AAABDSURBVHjaY2b4+Piqn7uDpaGWsqwo"
  + "HzvDj4+vHt8J9XNjXDm79+rVq9euXr0KpaCYMdjFDJkPl2b88+4BpvKrV68CALEtQ97JX9BWAAAAAElFTkSuQmCC";

const SEE_THROUGH = ["RGBA", "BGRA"]; // a frame's formats with opacity

const UNREADABLE = { heif: "heic", tiff: "tiff", jpeg2000: "jpeg2000", jpegxl: "jpegxl" };

// The ways of reading pixels that give back what was put in, best first, whether the quick one does
// too, and whether they all leave a profile's colours as they are stored when they are asked to:
// {ways, quick, stored}. Raises Problem where none does. `without` leaves one out, for tests.
export async function openEye(without = "") {
  const ways = [];
  let changed = false;
  for (const [name, way] of [["canvas", canvasPicture], ["decoder", framePicture]]) {
    const answer = name === without ? null : await tried(way);
    if (answer === "works") ways.push(way);
    changed ||= answer === "changed";
  }
  if (!ways.length) throw new Problem(changed ? "pixels_changed" : "old_browser");
  const quick = ways[0] === canvasPicture && await tried(quickPicture) === "works";
  let stored = true;
  for (const way of [...ways, ...(quick ? [quickPicture] : [])]) {
    stored &&= await tried(way, PROFILED) === "works";
  }
  return { ways, quick, stored };
}

// Canonical luma of a picture file, by an eye's ways: {luma, width, height}. Raises Problem.
export async function lumaOf({ ways, quick, stored }, file) {
  if (file.size === 0) throw new Problem("empty");
  if (file.size > MOST_BYTES) throw new Problem("too_large");
  const bytes = new Uint8Array(await file.arrayBuffer());
  const kind = kindOf(bytes);
  if (kind === "unknown" || kind === "video") throw new Problem("unsupported");
  const header = headerOf(bytes, kind);
  withinLimits(header.width, header.height);
  if (!header.ended) throw new Problem("cut_short");
  // Where it is known what a profile does to colours it is done here, as browsers round differently.
  const icc = stored ? await unpacked(header.icc, kind) : null;
  const colours = icc && coloursOf(icc, header.grey);
  header.turnColours = colours?.turn ?? null;
  header.convert = header.profile && !colours;
  const plain = quick && kind === "jpeg" && !header.convert && header.turn in ROTATIONS;
  let found = await readBy(plain ? quickPicture : ways[0], bytes, kind, header);
  // A canvas keeps colours multiplied by their opacity, and rounds; the decoder does not. Of AVIF it
  // gives other colours, though, so that there is no way to the pixels that the server sees.
  if (found.clear && kind === "avif") throw new Problem("see_through");
  if (found.clear && ways.length > 1) found = await readBy(ways[1], bytes, kind, header);
  return found;
}

async function readBy(way, bytes, kind, header) {
  const picture = await opened(way, bytes, kind, header);
  try {
    withinLimits(picture.width, picture.height);
    if (!isWhole(picture, header)) throw new Problem("no_memory");
    return upright(await planeOf(picture, header.turnColours), picture.turn);
  } finally {
    picture.close();
  }
}

// A profile's own bytes; null where they are not to be had.
async function unpacked(icc, kind) {
  if (!icc || kind !== "png") return icc;
  try {
    const stream = new Blob([icc]).stream().pipeThrough(new DecompressionStream("deflate"));
    const parts = [];
    let length = 0;
    for (const reader = stream.getReader(); ;) {
      const { done, value } = await reader.read();
      if (done) break;
      parts.push(value);
      length += value.length;
      if (length > MOST_PROFILE) {
        await reader.cancel();
        return null;
      }
    }
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  } catch {
    return null; // broken, or a browser without DecompressionStream
  }
}

async function opened(way, bytes, kind, header) {
  try {
    return await way(bytes, kind, header);
  } catch (error) {
    if (error instanceof Problem) throw error;
    if (UNREADABLE[kind]) throw new Problem(UNREADABLE[kind]);
    throw new Problem(error instanceof RangeError ? "no_memory" : "broken");
  }
}

function withinLimits(width, height) {
  if (width * height > MOST_PIXELS || Math.max(width, height) > LONGEST_SIDE) {
    throw new Problem("too_large");
  }
}

// A browser that is short of memory may decode a photo smaller than it is; such pixels would give
// another code, and nobody would notice.
function isWhole(picture, header) {
  if (!header.width || !header.height) return true;
  const told = [header.width, header.height].sort((one, other) => one - other);
  const seen = [picture.width, picture.height].sort((one, other) => one - other);
  return told[0] === seen[0] && told[1] === seen[1];
}

// A picture by way of a canvas: {width, height, turn, read(top, rows) -> RGBA, close()}.
async function canvasPicture(bytes, kind, header) {
  const { bitmap, turn } = await bitmapOf(bytes, kind, header);
  const { width, height } = bitmap;
  const rows = Math.max(1, Math.floor(STRIP_PIXELS / width));
  const canvas = new OffscreenCanvas(width, Math.min(rows, height));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  context.globalCompositeOperation = "copy";
  return {
    width,
    height,
    turn,
    read(top, count) {
      context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
      return context.getImageData(0, 0, width, count).data;
    },
    close: () => bitmap.close(),
  };
}

// The same of an opaque picture that the browser need not convert by way of a VideoFrame: one copy where a canvas
// makes two, and every strip in the same place. The frame has pixels as they are stored, and says
// by how much they are to be turned; where it does not say what the file says, a canvas reads it.
async function quickPicture(bytes, kind, header) {
  const { bitmap } = await bitmapOf(bytes, kind, header);
  const frame = new VideoFrame(bitmap, { timestamp: 0 });
  bitmap.close();
  const { width, height } = frame.visibleRect;
  if ((frame.rotation ?? 0) !== ROTATIONS[header.turn] || frame.flip) {
    frame.close();
    return canvasPicture(bytes, kind, header);
  }
  const strip = new Uint8ClampedArray(width * 4 * Math.max(1, Math.floor(STRIP_PIXELS / width)));
  return {
    width,
    height,
    turn: header.turn,
    async read(top, count) {
      const rect = { x: frame.visibleRect.x, y: frame.visibleRect.y + top, width, height: count };
      const part = strip.subarray(0, width * count * 4);
      await frame.copyTo(part, { rect, format: "RGBA", colorSpace: "srgb" });
      return part;
    },
    close: () => frame.close(),
  };
}

async function bitmapOf(bytes, kind, header) {
  // Browsers differ on a WebP's orientation: its chunk is given a name that nobody reads.
  const ours = header.turnAt !== undefined;
  const parts = ours
    ? [bytes.subarray(0, header.turnAt), "none", bytes.subarray(header.turnAt + 4)] : [bytes];
  const bitmap = await createImageBitmap(new Blob(parts, { type: MIME[kind] ?? "" }), {
    colorSpaceConversion: header.convert ? "default" : "none",
  });
  return { bitmap, turn: ours ? header.turn : 1 }; // of other kinds the browser has applied it
}

// The same by way of WebCodecs, which gives pixels as they are stored, transparency untouched.
async function framePicture(bytes, kind, header) {
  if (typeof ImageDecoder === "undefined") throw new Problem("old_browser");
  const decoder = new ImageDecoder({
    data: bytes,
    type: MIME[kind] ?? "",
    colorSpaceConversion: header.convert ? "default" : "none",
    premultiplyAlpha: "none",
    preferAnimation: false,
  });
  const { image } = await decoder.decode({ frameIndex: 0, completeFramesOnly: true });
  const { width, height } = image.visibleRect;
  return {
    width,
    height,
    turn: header.turn,
    async read(top, count) {
      const rect = { x: image.visibleRect.x, y: image.visibleRect.y + top, width, height: count };
      const strip = new Uint8ClampedArray(width * count * 4);
      if (header.convert || !SEE_THROUGH.includes(image.format)) {
        await image.copyTo(strip, { rect, format: "RGBA", colorSpace: "srgb" });
        return strip;
      }
      // Asked for another order than its own Chromium multiplies by opacity and back, and rounds.
      await image.copyTo(strip, { rect });
      if (image.format === "BGRA") swap(strip);
      return strip;
    },
    close() {
      image.close();
      decoder.close();
    },
  };
}

// Blue, green, red to red, green, blue.
function swap(strip) {
  for (let at = 0; at < strip.length; at += 4) {
    const blue = strip[at];
    strip[at] = strip[at + 2];
    strip[at + 2] = blue;
  }
}

// Luma of a picture as it is stored, its strips' colours turned by `turnColours` where that is given;
// `clear` says whether any of it was transparent.
async function planeOf(picture, turnColours) {
  const { width, height } = picture;
  const [newWidth, newHeight] = hashedSize(width, height);
  const plane = new Float32Array(newWidth * newHeight);
  const smaller = newWidth === width ? null
    : shrinker(width, height, newWidth, newHeight, (row, y) => {
      for (let x = 0; x < newWidth; x++) {
        plane[y * newWidth + x] = grey(row[x * 3], row[x * 3 + 1], row[x * 3 + 2]);
      }
    });
  let clear = false;
  const row = new Uint8Array(width * 3);
  const rows = Math.max(1, Math.floor(STRIP_PIXELS / width));
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    const strip = await picture.read(top, count);
    turnColours?.(strip);
    // Nearly every strip is opaque: its greys are made in the same walk that finds that out.
    const target = smaller ? null : plane.subarray(top * width, (top + count) * width);
    if (smaller ? !isOpaque(strip) : !greys(strip, target)) {
      clear = true;
      flatten(strip);
      if (!smaller) greys(strip, target);
    }
    if (!smaller) continue;
    for (let y = 0; y < count; y++) {
      for (let x = 0, from = y * width * 4, to = 0; x < width; x++, from += 4, to += 3) {
        row[to] = strip[from];
        row[to + 1] = strip[from + 1];
        row[to + 2] = strip[from + 2];
      }
      smaller(row);
    }
  }
  return { luma: plane, width: newWidth, height: newHeight, clear };
}

// Greys of a strip of pixels; whether all of them were opaque.
function greys(strip, plane) {
  const pixels = pixelsOf(strip);
  let all = -1;
  for (let at = 0; at < pixels.length; at++) {
    const pixel = pixels[at];
    all &= pixel;
    plane[at] = grey(pixel & 255, (pixel >>> 8) & 255, (pixel >>> 16) & 255);
  }
  return all >>> 24 === 255;
}

function isOpaque(strip) {
  let all = -1;
  for (const pixel of pixelsOf(strip)) all &= pixel;
  return all >>> 24 === 255;
}

// A pixel is one number: opacity, blue, green, red from its highest bits down.
function pixelsOf(strip) {
  return new Uint32Array(strip.buffer, strip.byteOffset, strip.length / 4);
}

// What is transparent lies on white; sums are divided by 255 and rounded, as the server does it.
function flatten(strip) {
  for (let at = 3; at < strip.length; at += 4) {
    const alpha = strip[at];
    if (alpha === 255) continue;
    const white = 255 * (255 - alpha);
    for (let channel = at - 3; channel < at; channel++) {
      strip[channel] = Math.round((strip[channel] * alpha + white) / 255);
    }
  }
}

// A plane as it is to be looked at, by its EXIF orientation.
function upright(found, turn) {
  if (turn === 1) return found;
  const { luma: plane, width, height, clear } = found;
  const [newWidth, newHeight] = turn > 4 ? [height, width] : [width, height];
  const turned = new Float32Array(plane.length);
  for (let y = 0, to = 0; y < newHeight; y++) {
    for (let x = 0; x < newWidth; x++, to++) {
      const [column, row] = turn > 4 ? [y, x] : [x, y];
      const left = [2, 3, 7, 8].includes(turn) ? width - 1 - column : column;
      const top = [3, 4, 6, 7].includes(turn) ? height - 1 - row : row;
      turned[to] = plane[top * width + left];
    }
  }
  return { luma: turned, width: newWidth, height: newHeight, clear };
}

// Whether a way reads a picture whose pixels are known: "works", "changed", or null. `png` is one of
// 8 times 4 of the same pixels; without it they are put into a BMP.
async function tried(way, png = "") {
  const [width, height] = png ? [8, 4] : [64, 48];
  const known = Uint8Array.from({ length: width * height * 3 }, (_, at) =>
    (at * 2654435761) >>> 21 & 255);
  try {
    const header = { convert: false, turn: 1 };
    const picture = png
      ? await way(Uint8Array.from(atob(png), (byte) => byte.charCodeAt(0)), "png", header)
      : await way(bitmapFile(known, width, height), "bmp", header);
    const seen = await picture.read(0, height);
    picture.close();
    if (picture.width !== width || picture.height !== height) return "changed";
    for (let pixel = 0; pixel < width * height; pixel++) {
      for (let channel = 0; channel < 3; channel++) {
        if (seen[pixel * 4 + channel] !== known[pixel * 3 + channel]) return "changed";
      }
      if (seen[pixel * 4 + 3] !== 255) return "changed";
    }
    return "works";
  } catch {
    return null;
  }
}

// RGB pixels as a BMP file, the one format that needs no compression.
function bitmapFile(rgb, width, height) {
  const file = new Uint8Array(54 + width * height * 3);
  const view = new DataView(file.buffer);
  file.set([0x42, 0x4d]);
  view.setUint32(2, file.length, true);
  view.setUint32(10, 54, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, width, true);
  view.setInt32(22, -height, true); // rows from the top
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      file[54 + pixel * 3 + channel] = rgb[pixel * 3 + 2 - channel];
    }
  }
  return file;
}
