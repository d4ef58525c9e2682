// What a file is by its bytes, before anything decodes it, as pipeline/media/_containers.py tells.

const MAGIC = [
  ["\xff\xd8\xff", "jpeg"], ["\x89PNG\r\n\x1a\n", "png"], ["GIF87a", "gif"], ["GIF89a", "gif"],
  ["BM", "bmp"], ["II*\0", "tiff"], ["MM\0*", "tiff"], ["II+\0", "tiff"], ["MM\0+", "tiff"],
  ["\0\0\0\x0cjP  \r\n\x87\n", "jpeg2000"], ["\xff\x4f\xff\x51", "jpeg2000"],
  ["\xff\x0a", "jpegxl"], ["\0\0\0\x0cJXL ", "jpegxl"],
  ["\x1a\x45\xdf\xa3", "video"], ["FLV", "video"], ["OggS", "video"],
  ["\0\0\x01\xba", "video"], ["\0\0\x01\xb3", "video"],
];
const HEIF = ["heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "msf1"];
const AVIF = ["avif", "avis"];
const GENERIC = ["mif1", "msf1"];

export const MIME = {
  jpeg: "image/jpeg", png: "image/png", gif: "image/gif", webp: "image/webp", bmp: "image/bmp",
  avif: "image/avif",
};

// The kind of a file by its first 256 bytes or more; "unknown" where it is nothing we know.
export function kindOf(bytes) {
  for (const [magic, kind] of MAGIC) if (text(bytes, 0, magic.length) === magic) return kind;
  if (text(bytes, 0, 4) === "RIFF") {
    return { WEBP: "webp", "AVI ": "video" }[text(bytes, 8, 4)] ?? "unknown";
  }
  if (text(bytes, 4, 4) === "ftyp") {
    const brands = brandsOf(bytes);
    if (brands.some((brand) => AVIF.includes(brand))) return "avif";
    return brands.some((brand) => HEIF.includes(brand)) ? "heif" : "video";
  }
  return ["moov", "mdat", "wide", "free", "skip"].includes(text(bytes, 4, 4)) ? "video" : "unknown";
}

function brandsOf(bytes) {
  const major = text(bytes, 8, 4);
  if ([...AVIF, ...HEIF].includes(major) && !GENERIC.includes(major)) return [major];
  const brands = [major];
  for (let at = 16; at + 4 <= Math.min(big(bytes, 0, 4), 256); at += 4) {
    brands.push(text(bytes, at, 4));
  }
  return brands;
}

// What a picture's own header says: {width, height} as stored (0 where it is not found), `profile`
// whether it carries colours of its own, `icc` that profile's bytes where they are found whole (in a
// PNG compressed), `grey` whether it has one channel of colour (undefined where it does not tell),
// `turn` its EXIF orientation, `turnAt` where a WebP keeps that, `ended` whether a JPEG's end was found.
export function headerOf(bytes, kind) {
  const header = { width: 0, height: 0, profile: false, icc: null, turn: 1, ended: true };
  return Object.assign(header, (READERS[kind] ?? (() => ({})))(bytes));
}

const READERS = {
  jpeg: jpegHeader,
  png: pngHeader,
  webp: webpHeader,
  gif: (bytes) => ({ width: little(bytes, 6, 2), height: little(bytes, 8, 2) }),
  bmp: (bytes) => ({ width: little(bytes, 18, 4), height: Math.abs(little(bytes, 22, 4) | 0) }),
  avif: avifHeader,
};

function jpegHeader(bytes) {
  const header = { ended: false };
  const parts = [];
  for (let at = 2; at + 4 <= bytes.length;) {
    if (bytes[at] !== 0xff || [0, 0xff].includes(bytes[at + 1])
      || (bytes[at + 1] >= 0xd0 && bytes[at + 1] <= 0xd7)) {
      at = bytes.indexOf(0xff, at + 1);
      if (at < 0) break;
      continue;
    }
    const marker = bytes[at + 1];
    const length = big(bytes, at + 2, 2);
    if (marker === 0xd9) break;
    if (marker === 0xda && header.icc === undefined) header.icc = joined(parts);
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      header.height ??= big(bytes, at + 5, 2);
      header.width ??= big(bytes, at + 7, 2);
      header.grey ??= bytes[at + 9] === 1;
    }
    if (marker === 0xe2 && text(bytes, at + 4, 11) === "ICC_PROFILE") {
      header.profile = true;
      parts.push(bytes.subarray(at + 16, at + 2 + length));
    }
    if (marker === 0xe1 && text(bytes, at + 4, 4) === "Exif") {
      header.turn ??= turnOf(bytes.subarray(at + 10, at + 2 + length));
    }
    if (length < 2) break;
    at += 2 + length;
  }
  header.ended = endsJpeg(bytes);
  return header;
}

// A profile of its parts, each after its number from 1 and how many there are; null where one lacks.
function joined(parts) {
  const inOrder = [...parts].sort((one, other) => one[0] - other[0]);
  if (!inOrder.every((part, at) => part[0] === at + 1 && part[1] === parts.length)) return null;
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length - 2, 0));
  let to = 0;
  for (const part of inOrder) {
    whole.set(part.subarray(2), to);
    to += part.length - 2;
  }
  return whole;
}

// Whether the last picture data is followed by the end marker; bytes after it do not matter.
function endsJpeg(bytes) {
  for (let at = bytes.length - 2; at > 1; at--) {
    if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return true;
    if (bytes[at] === 0xff && bytes[at + 1] === 0xda) return false;
  }
  return false;
}

function pngHeader(bytes) {
  const header = { width: big(bytes, 16, 4), height: big(bytes, 20, 4) };
  header.grey = [0, 4].includes(bytes[25]);
  for (let at = 8; at + 12 <= bytes.length; at += 12 + big(bytes, at, 4)) {
    const name = text(bytes, at + 4, 4);
    const body = bytes.subarray(at + 8, at + 8 + big(bytes, at, 4));
    if (name === "iCCP") {
      header.icc = header.profile ? null : body.subarray(body.indexOf(0) + 2);
      header.profile = true;
    }
    if (name === "tRNS" && header.grey) header.grey = undefined; // the server may see colours in it
    if (name === "eXIf") header.turn = turnOf(body);
    if (name === "IEND") break;
  }
  return header;
}

function webpHeader(bytes) {
  const header = { grey: false };
  for (let at = 12; at + 8 <= bytes.length;) {
    const name = text(bytes, at, 4);
    const size = little(bytes, at + 4, 4);
    const body = at + 8;
    if (name === "VP8X") {
      header.width = little(bytes, body + 4, 3) + 1;
      header.height = little(bytes, body + 7, 3) + 1;
    } else if (name === "VP8 ") {
      header.width ??= little(bytes, body + 6, 2) & 0x3fff;
      header.height ??= little(bytes, body + 8, 2) & 0x3fff;
    } else if (name === "VP8L") {
      const packed = little(bytes, body + 1, 4);
      header.width ??= (packed & 0x3fff) + 1;
      header.height ??= ((packed >>> 14) & 0x3fff) + 1;
    } else if (name === "ICCP") {
      header.profile = true;
      header.icc = bytes.subarray(body, body + size);
    } else if (name === "EXIF") {
      const from = text(bytes, body, 4) === "Exif" ? 6 : 0;
      header.turn = turnOf(bytes.subarray(body + from, body + size));
      header.turnAt = at;
    }
    at = body + size + (size & 1);
  }
  return header;
}

function avifHeader(bytes) {
  const head = text(bytes, 0, Math.min(bytes.length, 65536));
  const size = head.indexOf("ispe");
  const found = size < 0 ? {} : { width: big(bytes, size + 8, 4), height: big(bytes, size + 12, 4) };
  const at = head.indexOf("colrprof");
  const one = at > 0 && !head.includes("colrprof", at + 1) && !head.includes("colrrICC");
  return {
    ...found,
    profile: head.includes("colrprof") || head.includes("colrrICC"),
    icc: one ? bytes.subarray(at + 8, at - 4 + big(bytes, at - 4, 4)) : null,
  };
}

// The EXIF orientation, 1 to 8; 1 where there is none or where it cannot be read.
function turnOf(exif) {
  const order = text(exif, 0, 2);
  if (order !== "II" && order !== "MM") return 1;
  const read = order === "II" ? little : big;
  const directory = read(exif, 4, 4);
  for (let entry = 0; entry < read(exif, directory, 2); entry++) {
    const at = directory + 2 + 12 * entry;
    if (read(exif, at, 2) === 0x0112) {
      const turn = read(exif, at + 8, 2);
      return turn >= 1 && turn <= 8 ? turn : 1;
    }
  }
  return 1;
}

function text(bytes, from, length) {
  let found = "";
  const end = Math.min(from + length, bytes.length);
  for (let at = from; at < end; at++) found += String.fromCharCode(bytes[at]);
  return found;
}

function big(bytes, from, length) {
  let value = 0;
  for (let at = 0; at < length; at++) value = value * 256 + (bytes[from + at] ?? 0);
  return value;
}

function little(bytes, from, length) {
  let value = 0;
  for (let at = length - 1; at >= 0; at--) value = value * 256 + (bytes[from + at] ?? 0);
  return value;
}
