// A clip's frames, from a <video> that is never shown, to whoever takes them.
//
// The clip is played through silently, and every frame that is shown is taken; it waits while the
// taker is behind. Where frames were left out for longer than a quarter of a second (a slow device,
// a page in the background), the clip is looked at again there, so that there are at least four
// frames a second.

import { Problem } from "./problems.js";

const LONGEST = 600;
const GAP = 0.25;
const AHEAD = 6;
const PATIENCE = 5000;
const SETTLED = 300;

// Calls `take(frame, seconds)` (which closes the frame and returns a promise) with frames of the
// clip, `onShare` with how much is done. Raises Problem.
export async function watch(file, take, onShare, signal) {
  if (typeof VideoFrame === "undefined") throw new Problem("old_browser");
  const video = document.createElement("video");
  if (!video.requestVideoFrameCallback) throw new Problem("old_browser");
  const address = URL.createObjectURL(file);
  try {
    video.muted = true;
    video.playsInline = true;
    video.preload = "auto";
    video.src = address;
    await happened(video, "loadeddata", signal);
    if (!video.videoWidth || !Number.isFinite(video.duration)) throw new Problem("video_unreadable");
    if (video.duration > LONGEST) throw new Problem("video_too_long");
    const times = await played(video, take, onShare, signal);
    await filled(video, times, take, onShare, signal);
  } finally {
    video.removeAttribute("src");
    video.load();
    URL.revokeObjectURL(address);
  }
}

// Plays from the first frame to the last; the times of the frames that were taken.
async function played(video, take, onShare, signal) {
  const times = [];
  let waiting = 0;
  let failed = null;

  function look(time) {
    const frame = frameOf(video);
    const at = time ?? frame.timestamp / 1e6;
    times.push(at);
    waiting++;
    take(frame, at).catch((error) => { failed ??= error; }).finally(() => { waiting--; });
  }

  function onFrame(now, { mediaTime }) {
    try {
      look(mediaTime);
    } catch (error) {
      failed ??= error;
    }
    if (waiting > AHEAD) video.pause();
    onShare(Math.min(mediaTime / video.duration, 1) * 0.8);
    video.requestVideoFrameCallback(onFrame);
  }

  look(); // the first frame is shown before anybody can ask to be called
  video.requestVideoFrameCallback(onFrame);
  let moved = performance.now();
  let before = -1;
  while (!video.ended && !failed) {
    if (signal?.aborted) throw new Problem("stopped");
    if (video.error) throw new Problem("video_unreadable");
    if (video.currentTime !== before || waiting) moved = performance.now();
    before = video.currentTime;
    // It may not be played here, or no longer; it can still be looked at step by step.
    if (performance.now() - moved > PATIENCE) break;
    if (video.paused && !waiting && !(await plays(video))) break;
    await pause(20);
  }
  video.pause();
  while (waiting && !failed) await pause(10);
  if (failed) throw failed;
  return times;
}

function plays(video) {
  return video.play().then(() => true, () => false);
}

function frameOf(video) {
  try {
    return new VideoFrame(video);
  } catch {
    throw new Problem("video_pixels");
  }
}

// Looks into every stretch that is longer than GAP without a frame.
async function filled(video, times, take, onShare, signal) {
  const seen = new Set(times.map((time) => Math.round(time * 1e6)));
  const missing = gaps(times, video.duration);
  let done = 0;
  for (const time of missing) {
    if (signal?.aborted) throw new Problem("stopped");
    await seek(video, time, signal);
    const frame = frameOf(video);
    // A frame that is shown for long is met again and again.
    if (seen.has(frame.timestamp)) frame.close();
    else await take(frame, frame.timestamp / 1e6);
    seen.add(frame.timestamp);
    onShare(0.8 + (0.2 * ++done) / missing.length);
  }
}

// Times at which to look so that no stretch without a look is longer than GAP.
export function gaps(times, duration) {
  const inOrder = [...times].sort((one, other) => one - other);
  const edges = [...inOrder, duration];
  const missing = inOrder.length ? [] : [0];
  let before = inOrder.length ? Math.min(inOrder[0], 0) : 0;
  for (const edge of edges) {
    const steps = Math.ceil((edge - before) / GAP);
    for (let step = 1; step < steps; step++) missing.push(before + ((edge - before) * step) / steps);
    before = edge;
  }
  return missing;
}

// Until the frame at a time is there to be taken. Nobody is called where it is the one before.
async function seek(video, time, signal) {
  const shown = new Promise((resolve) => { video.requestVideoFrameCallback(resolve); });
  const sought = happened(video, "seeked", signal);
  video.currentTime = time;
  await sought;
  await Promise.race([shown, pause(SETTLED)]);
}

function happened(video, name, signal) {
  return new Promise((resolve, reject) => {
    video.addEventListener(name, resolve, { once: true });
    video.addEventListener("error", () => reject(new Problem("video_unreadable")), { once: true });
    signal?.addEventListener("abort", () => reject(new Problem("stopped")), { once: true });
  });
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
