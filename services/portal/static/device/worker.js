// The worker in which files become codes. Its response's policy forbids it every connection.
//
// A message {id, ask, ...} is answered by one {id, answer} or {id, problem}. Only codes, times and
// qualities leave it: no pixel, no name, no thumbnail.

import { registeredCrops } from "./crops.js";
import { kindOf } from "./formats.js";
import { hashFrame, lumaOfFrame, pruned } from "./frames.js";
import { hash } from "./pdq.js";
import { lumaOf, openEye } from "./pixels.js";
import { Problem } from "./problems.js";

let eye = null;
let clip = [];

const ANSWERS = {
  async check({ without }) {
    eye = null;
    eye = await openEye(without);
    return null;
  },

  // "picture", "video" or "unknown", by the first bytes alone.
  async kind({ file }) {
    if (file.size === 0) throw new Problem("empty");
    const kind = kindOf(new Uint8Array(await file.slice(0, 4096).arrayBuffer()));
    return kind === "video" || kind === "unknown" ? kind : "picture";
  },

  async picture({ file }) {
    eye ??= await openEye();
    const { luma, width, height } = await lumaOf(eye, file);
    const codes = hash(luma, width, height, registeredCrops(width, height));
    if (codes[0]?.slot !== 0) throw new Problem("too_plain");
    return { kind: "image", codes: codes.map(({ slot, pdq, quality }) => [slot, pdq, quality]) };
  },

  // Begins a clip, and forgets the last one.
  async clip() {
    clip = [];
    return null;
  },

  async frame({ frame, time }) {
    const found = hashFrame(await lumaOfFrame(frame));
    clip.push({ time, ...(found ?? { pdq: null, quality: 0 }) });
    return null;
  },

  async codes() {
    const frames = pruned(clip).map(({ time, pdq, quality }) => [time, pdq, quality]);
    clip = [];
    if (!frames.length) throw new Problem("too_plain");
    return { kind: "video", frames };
  },
};

async function answer({ id, ask, ...given }) {
  try {
    postMessage({ id, answer: await ANSWERS[ask](given) });
  } catch (error) {
    postMessage({ id, problem: codeOfError(error) });
  }
}

// Errors of other kinds are not told as they are: their words could quote what was worked on.
function codeOfError(error) {
  if (error instanceof Problem) return error.code;
  return error instanceof RangeError ? "no_memory" : "failed";
}

// One after another: a second picture is not opened while the first is held.
let last = Promise.resolve();
onmessage = ({ data }) => {
  last = last.then(() => answer(data));
};
