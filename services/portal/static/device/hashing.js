// What the pages use: files in, the exact data that will leave the device out.
//
//   const hasher = await openHasher("/device/worker.js");
//   const { works, problem } = await hasher.check();        // before anything is chosen
//   const { item, problem } = await hasher.hash(file, (share) => ..., abortSignal);
//   hasher.close();
//
// An item is {kind: "image", codes: [[slot, "64 hex digits", quality], ...]} or
// {kind: "video", frames: [[seconds, "64 hex digits", quality], ...]}. Problems are the codes of
// problems.js. Files are read one at a time, and nothing of one is kept when the next begins.

import { watch } from "./clip.js";
import { Problem } from "./problems.js";

export async function openHasher(address) {
  let worker = null;
  let asked = 0;
  const waiting = new Map();

  function start() {
    worker = new Worker(address, { type: "module" });
    worker.onmessage = ({ data: { id, answer, problem } }) => {
      const { resolve, reject } = waiting.get(id) ?? {};
      waiting.delete(id);
      if (problem) reject?.(new Problem(problem));
      else resolve?.(answer);
    };
    worker.onerror = () => stop("failed");
  }

  function stop(problem) {
    worker?.terminate();
    worker = null;
    for (const { reject } of waiting.values()) reject(new Problem(problem));
    waiting.clear();
  }

  function ask(name, given = {}, moved = []) {
    if (!worker) start();
    return new Promise((resolve, reject) => {
      const id = ++asked;
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, ask: name, ...given }, moved);
    });
  }

  async function item(file, onShare, signal) {
    const kind = await ask("kind", { file });
    if (kind === "unknown") throw new Problem("unsupported");
    if (kind === "picture") return ask("picture", { file });
    await ask("clip");
    await watch(file, (frame, time) => ask("frame", { frame, time }, [frame]), onShare, signal);
    return ask("codes");
  }

  return {
    // Whether this browser gives back pixels as they are: {works, problem}.
    async check(without = "") {
      try {
        await ask("check", { without });
        return { works: true, problem: null };
      } catch (error) {
        return { works: false, problem: codeOf(error) };
      }
    },

    // {item} or {problem}; `onShare` hears how much is done, 0 to 1.
    async hash(file, onShare = () => {}, signal = undefined) {
      const onAbort = () => stop("stopped");
      signal?.addEventListener("abort", onAbort);
      try {
        onShare(0);
        if (signal?.aborted) throw new Problem("stopped");
        const found = await item(file, onShare, signal);
        onShare(1);
        return { item: found };
      } catch (error) {
        return { problem: codeOf(error) };
      } finally {
        signal?.removeEventListener("abort", onAbort);
      }
    },

    close: () => stop("stopped"),
  };
}

function codeOf(error) {
  return error instanceof Problem ? error.code : "failed";
}
