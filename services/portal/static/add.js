// Choosing files, having their codes made, showing what will be sent, and sending exactly that.
// Neither a file nor its name is kept here longer than its codes take.

import { openHasher } from "/static/device/hashing.js";
import "/static/keep.js";
import { Lost, newKey, send } from "/static/send.js";

const at = (id) => document.getElementById(id);
const words = JSON.parse(at("words").textContent);
const setting = JSON.parse(at("setting").textContent);
const chosen = []; // {number, item}, in the order in which they came
const key = newKey();
let number = 0;
let unsure = false; // whether what was sent may have arrived
let stopping = null;

const fill = (text, values) => text.replace(/%\((\w+)\)s/g, (_, name) => values[name]);
const say = (text) => { at("progress").textContent = text; };

// The one that makes codes, or null where this browser cannot.
const opening = openHasher("/device/worker.js").then(async (hasher) => {
  const { works, problem } = await hasher.check();
  if (works) return hasher;
  at("cannot").textContent = words.problems[problem] ?? words.problems.failed;
  at("cannot").hidden = false;
  at("files").disabled = true;
  return null;
});

async function take() {
  const files = [...at("files").files];
  at("files").value = "";
  at("files").disabled = true;
  const hasher = await opening;
  if (!hasher || !files.length) {
    at("files").disabled = !hasher;
    return;
  }
  at("bar").hidden = at("stop").hidden = false;
  stopping = new AbortController();
  for (const [index, file] of files.entries()) {
    if (stopping.signal.aborted) break;
    say(fill(words.working, { done: index + 1, all: files.length }));
    const share = (done) => { at("bar").value = (index + done) / files.length; };
    const found = await hasher.hash(file, share, stopping.signal);
    number++;
    show(number, found);
  }
  at("bar").hidden = at("stop").hidden = true;
  at("files").disabled = false;
  say(chosen.length ? words.ready : words.nothing);
  refresh();
}

at("files").addEventListener("change", take);
// Whoever was quicker than this script has chosen already.
if (at("files").files.length) take();

at("stop").addEventListener("click", () => stopping?.abort());

function named(which, item) {
  return fill(item?.kind === "video" ? words.clip : words.picture, { number: which });
}

function show(which, { item, problem: why }) {
  const line = document.createElement("li");
  const text = document.createElement("span");
  const name = named(which, item);
  text.textContent = `${name}: ${item ? words.good : words.problems[why] ?? words.problems.failed}`;
  line.append(text);
  if (item) {
    const entry = { which, item };
    chosen.push(entry);
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "quiet";
    remove.textContent = words.remove;
    remove.setAttribute("aria-label", `${words.remove}: ${name}`);
    remove.addEventListener("click", () => {
      chosen.splice(chosen.indexOf(entry), 1);
      line.remove();
      refresh();
      at("files").focus();
    });
    line.append(remove);
  } else {
    line.className = "bad";
  }
  at("items").append(line);
}

// What will be sent, byte for byte: a line for each picture or clip.
function message() {
  const head = JSON.stringify({
    key,
    consent: setting.consent,
    answers: { adult: true, mine: true, intimate: true },
  });
  const items = chosen.map(({ item }) => JSON.stringify(item)).join(",\n");
  return `${head.slice(0, -1)},"items":[\n${items}\n]}`;
}

function refresh() {
  at("sending").hidden = chosen.length === 0;
  at("exact").textContent = chosen.length ? message() : "";
}

at("send").addEventListener("click", async () => {
  at("problem").hidden = true;
  at("send").disabled = true;
  say(words.sending);
  try {
    const again = () => { freeze(); say(words.again); };
    const sent = await send(setting, at("exact").textContent, again);
    if (sent.ok) return done(sent.answer, unsure);
    thaw();
    fail(sent.answer.detail);
  } catch (error) {
    if (!(error instanceof Lost)) return fail(words.problems.failed);
    if (error.offline && !unsure) return fail(words.offline);
    freeze();
    fail(words.lost);
  } finally {
    at("send").disabled = false;
  }
});

// What was sent may have arrived: only the very same message is answered the same again.
function freeze() {
  unsure = true;
  at("files").disabled = true;
  for (const button of at("items").querySelectorAll("button")) button.hidden = true;
}

// It was refused, so nothing has come of it.
function thaw() {
  unsure = false;
  at("files").disabled = false;
  for (const button of at("items").querySelectorAll("button")) button.hidden = false;
}

function fail(text) {
  say("");
  at("problem").textContent = text;
  at("problem").hidden = false;
}

function done(answer, repeated) {
  opening.then((hasher) => hasher?.close());
  at("repeated").hidden = !repeated;
  for (const name of ["case", "pin", "recovery"]) {
    const place = at(`given-${name}`);
    if (place) place.textContent = answer[name];
  }
  for (const [index, { said, fate }] of answer.fates.entries()) {
    const line = document.createElement("li");
    line.className = fate === "protected" ? "" : "bad";
    line.textContent = `${named(chosen[index].which, chosen[index].item)}: ${said}`;
    at("fates").append(line);
  }
  at("choosing").hidden = true;
  at("exact").textContent = "";
  at("done").hidden = false;
  at("done-title").focus();
  chosen.length = 0;
}
