// A clip's frames to codes: PDQ of the Y plane, as pipeline/media/video.py computes it.
//
// Red, green and blue of a frame depend on how a browser converts; the Y plane is what the decoder
// made, the same on every machine.

import { hash } from "./pdq.js";
import { Problem } from "./problems.js";
import { hashedSize, shrinker } from "./shrink.js";

const ALIKE = 8;

// Planar formats whose first plane is Y, with the bits of a sample.
const PLANAR = {
  NV12: 8, NV12A: 8, I420: 8, I420A: 8, I422: 8, I422A: 8, I444: 8, I444A: 8,
  I420P10: 10, I422P10: 10, I444P10: 10, I420P12: 12, I422P12: 12, I444P12: 12,
};

// Luma of a VideoFrame, upright: {luma, width, height}. Raises Problem. Closes the frame.
export async function lumaOfFrame(frame) {
  try {
    const bits = PLANAR[frame.format];
    if (!bits) throw new Problem("video_pixels");
    const { width, height } = frame.visibleRect;
    const bytes = new Uint8Array(frame.allocationSize());
    const [{ offset, stride }] = await frame.copyTo(bytes);
    const plane = new Float32Array(width * height);
    for (let y = 0; y < height; y++) {
      const from = offset + y * stride;
      if (bits === 8) {
        plane.set(bytes.subarray(from, from + width), y * width);
      } else {
        for (let x = 0; x < width; x++) {
          const sample = bytes[from + 2 * x] + 256 * bytes[from + 2 * x + 1];
          plane[y * width + x] = sample >> (bits - 8);
        }
      }
    }
    return turned(...smaller(plane, width, height), frame.rotation ?? 0, frame.flip ?? false);
  } finally {
    frame.close();
  }
}

// The code of one frame, {pdq, quality}, or null where it says too little.
export function hashFrame({ luma, width, height }) {
  const whole = { slot: 0, left: 0, top: 0, right: width, bottom: height };
  return hash(luma, width, height, [whole])[0] ?? null;
}

// A plane of more than 16 megapixels is made smaller first, as pictures are.
function smaller(plane, width, height) {
  const [newWidth, newHeight] = hashedSize(width, height);
  if (newWidth === width) return [plane, width, height];
  const out = new Float32Array(newWidth * newHeight);
  const push = shrinker(width, height, newWidth, newHeight, (row, y) => {
    for (let x = 0; x < newWidth; x++) out[y * newWidth + x] = row[x * 3];
  });
  const row = new Uint8Array(width * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) row[x * 3] = plane[y * width + x];
    push(row);
  }
  return [out, newWidth, newHeight];
}

// Turned to the right by a multiple of 90 degrees, after a flip from left to right.
function turned(plane, width, height, rotation, flip) {
  if (!rotation && !flip) return { luma: plane, width, height };
  const across = rotation % 180 !== 0;
  const [newWidth, newHeight] = across ? [height, width] : [width, height];
  const out = new Float32Array(plane.length);
  for (let y = 0; y < newHeight; y++) {
    for (let x = 0; x < newWidth; x++) {
      const [column, row] = {
        0: [x, y],
        90: [y, height - 1 - x],
        180: [width - 1 - x, height - 1 - y],
        270: [width - 1 - y, x],
      }[rotation];
      out[y * newWidth + x] = plane[row * width + (flip ? width - 1 - column : column)];
    }
  }
  return { luma: out, width: newWidth, height: newHeight };
}

// Frames {time, pdq, quality} (`pdq` null where one says too little) to the stretches that
// pipeline/domain/film.py would keep: the first and the last frame of each.
export function pruned(frames) {
  const stretches = [];
  let open = null;
  for (const frame of [...frames].sort((one, other) => one.time - other.time)) {
    if (!frame.pdq) {
      open = null;
    } else if (open && distance(open.first.pdq, frame.pdq) <= ALIKE) {
      open.last = frame;
    } else {
      open = { first: frame, last: frame };
      stretches.push(open);
    }
  }
  return stretches.flatMap(({ first, last }) => first === last ? [first] : [first, last]);
}

function distance(one, other) {
  let bits = 0;
  for (let at = 0; at < 64; at++) {
    let differing = parseInt(one[at], 16) ^ parseInt(other[at], 16);
    for (; differing; differing >>= 1) bits += differing & 1;
  }
  return bits;
}
