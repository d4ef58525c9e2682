// A video, played as a row of pictures that the server makes: blurred and grey, or as they are
// while Space or the pointer is held. Nothing plays by itself, and there is no sound.
//
// Pictures come in strips. Clear ones are asked for only while the hold lasts; when it ends, they
// are removed and their bytes are freed, and what comes too late is thrown away unseen.

import { pathsOf } from "./boxes.js";
import { holding } from "./hold.js";
import { post, sentence } from "./post.js";
import { endLook } from "./reveal.js";
import { timelineOf } from "./timeline.js";

const AROUND = 12; // frames on either side of a moment that one looks at frame by frame
const AHEAD = 24; // pictures of a strip while it plays
const SAME = 2e-4; // seconds
const FARTHEST = 120; // seconds in which the frame before is looked for
const RATES = { 0.25: 16, 0.5: 12, 1: 8, 2: 4 }; // pictures a second of the video, by speed

class Said extends Error {}

export function playFilm(figure, credentials, display) {
  const find = (name) => figure.querySelector(`[data-${name}]`);
  const button = find("film");
  const still = button.querySelector("img.blurred");
  const hint = find("hint");
  const blurred = hint.textContent;
  const [playButton, place, time, speed, stream] = ["play", "place", "clock", "speed", "stream"].map(find);
  const boxes = pathsOf(button);
  const timeline = timelineOf(figure.querySelector("[data-timeline]"), seek);

  let at = Number(button.dataset.at);
  let seconds = 0; // how long the video lasts; unknown until the first strip has come
  let frames = []; // every frame around the moment, of the kind that is shown
  let clear = null; // the picture as it is, while a hold lasts
  let held = null; // the hold
  let playing = false;
  let task = new AbortController(); // what is being fetched or played; one thing at a time
  let stillUrl = null;
  let steps = 0; // frames still to go, back when below zero
  let stepping = false;

  async function strip(asked, mine) {
    const query = { stream: stream.value || 0, ...asked };
    const hold = held;
    const response = hold
      ? await post(button.dataset.frames, credentials, "multipart/form-data", mine.signal, {
          ...query,
          as: display.as,
          look: hold.look ?? "",
        })
      : await fetch(`${button.dataset.frames}?${new URLSearchParams(query)}`, {
          headers: { Accept: "multipart/form-data, application/problem+json" },
          cache: "no-store",
          credentials: "same-origin",
          redirect: "error",
          signal: mine.signal,
        });
    if (!response.ok) throw new Said(await sentence(response));
    if (hold && !hold.look) {
      hold.look = response.headers.get("X-Look");
      hold.since = performance.now();
    }
    learn(Number(response.headers.get("X-Seconds")), Number(response.headers.get("X-Streams")));
    const made = [...(await response.formData())];
    if (mine.signal.aborted || hold !== held) throw new DOMException("", "AbortError");
    return made.map(([name, file]) => ({ time: Number(name), file }));
  }

  function learn(lasts, streams) {
    if (lasts > seconds) {
      seconds = lasts;
      place.max = String(lasts);
      timeline?.stretch(lasts);
    }
    while (stream.options.length < streams) {
      const number = stream.options.length;
      stream.add(new Option(String(number + 1), String(number)));
    }
    find("streams").hidden = streams < 2;
  }

  async function draw(frame, mine) {
    if (mine.signal.aborted) return;
    const url = URL.createObjectURL(frame.file);
    if (held) {
      const image = clear ?? new Image();
      const before = image.src;
      image.src = url;
      try {
        await image.decode();
      } finally {
        if (before) URL.revokeObjectURL(before);
      }
      if (mine.signal.aborted || !held) {
        URL.revokeObjectURL(url);
        return;
      }
      if (!clear) {
        clear = image;
        image.className = "clear";
        image.alt = "A picture of the video as it is";
        image.draggable = false;
        display.dress(image);
        button.append(image);
        button.classList.add("shown");
      }
      hint.textContent = "Shown as it is. Let go to blur it.";
    } else {
      still.src = url;
      if (stillUrl) URL.revokeObjectURL(stillUrl);
      stillUrl = url;
      await still.decode();
      if (mine.signal.aborted) return;
      hint.textContent = blurred;
    }
    moved(frame.time);
  }

  function moved(to) {
    at = to;
    if (at > Number(place.max)) place.max = String(at);
    place.value = String(at);
    const minutes = Math.floor(at / 60);
    time.textContent = `${minutes}:${(at % 60).toFixed(2).padStart(5, "0")}`;
    place.setAttribute("aria-valuetext", time.textContent);
    timeline?.head(at);
    boxes.at(at);
  }

  // One thing at a time: whatever was being fetched or played ends here.
  function begin() {
    task.abort();
    task = new AbortController();
    [steps, stepping] = [0, false];
    return task;
  }

  async function attempt(mine, work) {
    try {
      await work();
    } catch (error) {
      if (mine.signal.aborted || error.name === "AbortError") return;
      const said = error instanceof Said ? `Not shown: ${error.message}.` : "Not shown: the console does not answer; try again.";
      pause();
      if (held) hold.stop(said);
      else hint.textContent = said;
    }
  }

  function seek(to) {
    pause();
    frames = [];
    return show(Math.max(0, seconds ? Math.min(to, seconds) : to));
  }

  function show(to) {
    const mine = begin();
    return attempt(mine, async () => {
      const [frame] = await strip({ at: to, after: 1 }, mine);
      await draw(frame, mine);
    });
  }

  // Steps that come while one is on its way are taken after it.
  function step(by) {
    steps += by;
    if (stepping) return;
    const wanted = steps;
    pause();
    const mine = begin();
    [steps, stepping] = [wanted, true];
    attempt(mine, async () => {
      while (steps) {
        const one = Math.sign(steps);
        if (!(await stepOnce(one, mine))) break;
        steps -= one;
      }
    }).finally(() => {
      if (task === mine) [steps, stepping] = [0, false];
    });
  }

  // Whether there was a frame in that direction.
  async function stepOnce(by, mine) {
    const here = () => frames.findIndex((frame) => Math.abs(frame.time - at) < SAME);
    for (let reach = 2; here() < 0 || !frames[here() + by]; reach *= 4) {
      if (reach > FARTHEST) return false;
      frames = await strip({ at, before: AROUND, after: AROUND + 1, reach }, mine);
      if (by > 0 || at < SAME) break;
    }
    const frame = frames[Math.max(0, here()) + by];
    if (frame) await draw(frame, mine);
    return Boolean(frame);
  }

  function play() {
    const mine = begin();
    playing = true;
    playButton.setAttribute("aria-pressed", "true");
    return attempt(mine, async () => {
      const next = (from) => strip({ at: from, after: AHEAD, rate: RATES[speed.value] }, mine);
      let coming = next(at);
      for (;;) {
        const ahead = (await coming).filter((frame) => frame.time > at + SAME);
        if (!ahead.length) break; // the end
        coming = next(ahead.at(-1).time);
        coming.catch(() => {});
        for (const frame of ahead) {
          await wait((1000 * (frame.time - at)) / Number(speed.value), mine);
          await draw(frame, mine);
          if (mine.signal.aborted) return;
        }
      }
      pause();
    });
  }

  function wait(milliseconds, { signal }) {
    return new Promise((done, refused) => {
      const timer = setTimeout(done, Math.min(milliseconds, 4000));
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        refused(new DOMException("", "AbortError"));
      });
    });
  }

  function pause() {
    if (!playing) return;
    playing = false;
    task.abort();
    playButton.setAttribute("aria-pressed", "false");
  }

  const hold = holding(
    button,
    async (mine) => {
      const played = playing;
      pause();
      held = mine;
      frames = [];
      hint.textContent = "Fetching…";
      await show(at);
      if (played && hold.is(mine)) play();
    },
    (ended, said = blurred) => {
      if (held !== ended) return;
      const played = playing;
      pause();
      begin();
      held = null;
      frames = [];
      button.classList.remove("shown");
      endLook(button, credentials, ended);
      if (clear) {
        display.undress(clear);
        clear.remove();
        URL.revokeObjectURL(clear.src);
        clear.removeAttribute("src");
        clear = null;
      }
      hint.textContent = said;
      if (document.hidden) return;
      show(at).then(() => {
        if (said !== blurred) hint.textContent = said;
        else if (played) play();
      });
    },
  );

  playButton.addEventListener("click", () => (playing ? pause() : play()));
  for (const one of figure.querySelectorAll("[data-step]")) {
    one.addEventListener("click", () => step(Number(one.dataset.step)));
  }
  place.addEventListener("change", () => seek(Number(place.value)));
  stream.addEventListener("change", () => seek(at));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) pause();
  });
  window.addEventListener("pagehide", pause);
  document.addEventListener("range", (event) => {
    if (event.detail.upload === figure.dataset.player) seek(event.detail.start);
  });
  // Keys mean the first player of the page.
  if (figure === document.querySelector("[data-player]")) {
    document.addEventListener("frame", (event) => step(event.detail));
    document.addEventListener("play", () => playButton.click());
  }
  find("controls").hidden = false;
  moved(at);
}
