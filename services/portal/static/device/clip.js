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
const PATIENCE = 8000;

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
  let ended = false;
  video.addEventListener("ended", () => { ended = true; }, { once: true });

  function onFrame(now, { mediaTime }) {
    if (ended && times.at(-1) === mediaTime) return;
    try {
      const frame = new VideoFrame(video);
      times.push(mediaTime);
      waiting++;
      take(frame, mediaTime).catch((error) => { failed ??= error; }).finally(() => {
        waiting--;
        if (waiting === 0 && video.paused && !ended) video.play().catch(() => {});
      });
    } catch {
      failed ??= new Problem("video_pixels");
    }
    if (waiting > AHEAD) video.pause();
    onShare(Math.min(mediaTime / video.duration, 1) * 0.8);
    video.requestVideoFrameCallback(onFrame);
  }

  video.requestVideoFrameCallback(onFrame);
  try {
    await video.play();
  } catch {
    return times; // it may not be played here; it can still be looked at step by step
  }
  let still = performance.now();
  let before = -1;
  while (!ended && !failed) {
    await pause(50);
    if (signal?.aborted) throw new Problem("stopped");
    if (video.error) throw new Problem("video_unreadable");
    if (video.currentTime !== before || waiting) still = performance.now();
    before = video.currentTime;
    if (performance.now() - still > PATIENCE) break;
  }
  video.pause();
  ended = true;
  while (waiting && !failed) await pause(10);
  if (failed) throw failed;
  return times;
}

// Looks at the middle of every stretch that is longer than GAP without a frame.
async function filled(video, times, take, onShare, signal) {
  const missing = gaps(times, video.duration);
  let done = 0;
  for (const time of missing) {
    if (signal?.aborted) throw new Problem("stopped");
    const shown = await seek(video, time, signal);
    await take(new VideoFrame(video), shown);
    done++;
    onShare(0.8 + (0.2 * done) / missing.length);
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

function seek(video, time, signal) {
  const shown = new Promise((resolve, reject) => {
    video.requestVideoFrameCallback((now, { mediaTime }) => resolve(mediaTime));
    setTimeout(() => reject(new Problem("video_unreadable")), PATIENCE);
  });
  video.currentTime = time;
  return Promise.all([shown, happened(video, "seeked", signal)]).then(([at]) => at);
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
