// Photos of a face from the camera, with hints, or from files; sent once, for enrolment only.

import "/static/keep.js";
import { Lost, newKey, send } from "/static/send.js";

const at = (id) => document.getElementById(id);
const words = JSON.parse(at("words").textContent);
const setting = JSON.parse(at("setting").textContent);
const photos = []; // {blob, line, from}: from is "camera" or "file"
const DARK = 55, BRIGHT = 215, BLURRED = 3;
const key = newKey();
let unsure = false; // whether what was sent may have arrived
let stream = null;
let voucher = null;
let count = 0;

const name = (number) => words.photo.replace("%(number)s", number);

function fail(text) {
  at("problem").textContent = text;
  at("problem").hidden = !text;
}

function refresh() {
  const taken = Math.min(photos.length, words.poses.length - 1);
  at("pose").textContent = stream || photos.length ? words.poses[taken] : "";
  at("send").disabled = photos.length < setting.least;
  at("shoot").hidden = !stream || photos.length >= setting.most;
}

at("start").addEventListener("click", async () => {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user", width: 1280 } });
  } catch {
    fail(words.nocamera);
    return;
  }
  at("camera").srcObject = stream;
  at("camera").hidden = false;
  at("start").hidden = true;
  await at("camera").play();
  refresh();
  at("shoot").focus();
});

at("shoot").addEventListener("click", async () => {
  const camera = at("camera");
  const canvas = document.createElement("canvas");
  canvas.width = camera.videoWidth;
  canvas.height = camera.videoHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(camera, 0, 0);
  const hint = hintOf(context.getImageData(0, 0, canvas.width, canvas.height));
  if (hint) {
    at("pose").textContent = hint;
    return;
  }
  add(await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.92)));
});

// The middle of the picture is where the face is: its light, and how sharp its edges are.
function hintOf({ data, width, height }) {
  let light = 0, edges = 0, seen = 0;
  for (let y = height >> 2; y < height - (height >> 2); y += 2) {
    for (let x = width >> 2; x < width - (width >> 2); x += 2) {
      const here = (y * width + x) * 4;
      light += data[here + 1];
      edges += Math.abs(2 * data[here + 1] - data[here - 3] - data[here + 5]);
      seen++;
    }
  }
  if (light / seen < DARK) return words.dark;
  if (light / seen > BRIGHT) return words.bright;
  return edges / seen < BLURRED / 4 ? words.blurred : "";
}

at("files").addEventListener("change", () => {
  for (const file of [...at("files").files].slice(0, setting.most - photos.length)) add(file);
  at("files").value = "";
});

at("voucher").addEventListener("change", async () => {
  voucher = at("voucher").files[0] ? await at("voucher").files[0].text() : null;
  at("vouched").textContent = voucher ? words.vouched : "";
});

function add(blob) {
  const number = ++count;
  const line = document.createElement("li");
  const text = document.createElement("span");
  text.textContent = name(number);
  const remove = document.createElement("button");
  remove.type = "button";
  remove.className = "quiet";
  remove.textContent = words.remove;
  remove.setAttribute("aria-label", `${words.remove}: ${name(number)}`);
  const photo = { blob, text, number, line };
  remove.addEventListener("click", () => {
    photos.splice(photos.indexOf(photo), 1);
    line.remove();
    refresh();
    at("files").focus();
  });
  line.append(text, remove);
  at("photos").append(line);
  photos.push(photo);
  refresh();
}

async function base64(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let from = 0; from < bytes.length; from += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(from, from + 0x8000));
  }
  return btoa(text);
}

at("send").addEventListener("click", async () => {
  fail("");
  if (!at("agree").checked || !at("adult").checked) {
    fail(words.agree);
    at("agree").focus();
    return;
  }
  at("send").disabled = true;
  try {
    const body = JSON.stringify({
      key,
      consent: setting.consent,
      adult: true,
      photos: await Promise.all(photos.map(({ blob }) => base64(blob))),
      voucher,
    });
    at("sent").textContent = words.sending;
    const sent = await send(setting, body, () => { freeze(); at("sent").textContent = words.again; });
    at("sent").textContent = "";
    if (sent.ok) return done(sent.answer);
    tell(sent.answer);
  } catch (error) {
    at("sent").textContent = "";
    if (error instanceof Lost && !(error.offline && !unsure)) {
      freeze();
      fail(words.lost);
    } else {
      fail(error instanceof Lost ? words.offline : words.failed);
    }
  } finally {
    at("send").disabled = photos.length < setting.least;
  }
});

// What was sent may have arrived: only the very same message is answered the same again.
function freeze() {
  unsure = true;
  for (const id of ["shoot", "files", "voucher", "agree", "adult"]) at(id).disabled = true;
  for (const button of at("photos").querySelectorAll("button")) button.hidden = true;
}

function thaw() {
  unsure = false;
  for (const id of ["shoot", "files", "voucher", "agree", "adult"]) at(id).disabled = false;
  for (const button of at("photos").querySelectorAll("button")) button.hidden = false;
}

function tell(answer) {
  thaw();
  for (const [index, problem] of (answer.photos ?? []).entries()) {
    const { text, number, line } = photos[index];
    text.textContent = `${name(number)}: ${problem ?? words.good}`;
    line.className = problem ? "bad" : "";
  }
  if (answer.voucher === false) fail(words.novoucher);
  else if (!answer.photos) fail(answer.detail ?? words.failed);
  else fail(answer.photos.filter(Boolean).join(" "));
}

function done(answer) {
  for (const track of stream?.getTracks() ?? []) track.stop();
  photos.length = 0;
  at("photos").replaceChildren();
  for (const part of ["case", "pin", "recovery"]) {
    const place = at(`given-${part}`);
    if (place && answer[part]) place.textContent = answer[part];
  }
  at("said").textContent = answer.said;
  at("choosing").hidden = true;
  at("done").hidden = false;
  at("done-title").focus();
}
