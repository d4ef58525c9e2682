// Why a file cannot be registered from here. Codes, not sentences: the pages have the words for
// each, in the reader's language, with what to do next.

export const PROBLEMS = {
  empty: "the file is empty",
  unsupported: "neither a picture nor a clip of a kind that we know",
  heic: "an iPhone's HEIC, which this browser cannot read; share or export it as JPEG",
  tiff: "a TIFF or raw photo; export it as JPEG",
  jpeg2000: "a JPEG 2000; export it as JPEG",
  jpegxl: "a JPEG XL; export it as JPEG",
  see_through: "an AVIF with see-through parts, whose colours no browser gives out; save it as PNG",
  cut_short: "the file ends before the picture does; copy it from the phone or camera again",
  broken: "the file is damaged, or of a variant that this browser cannot read",
  too_large: "more than 64 MB, 100 megapixels or 30,000 pixels a side; save it smaller",
  no_memory: "the device had too little memory for it; close other pages, or use a computer",
  too_plain: "too plain to be told from other pictures (one colour, blurred, nearly black)",
  pixels_changed: "this browser changes pixels when a page reads them; use another browser",
  old_browser: "this browser is too old for it; update it, or use another one",
  video_unreadable: "a clip that this browser cannot play; export it as MP4 (H.264)",
  video_pixels: "this browser does not show a clip's frames as they are; use Chrome or Edge",
  video_too_long: "a clip of more than ten minutes; cut it into parts",
  stopped: "it was stopped before it was done",
  failed: "something unforeseen went wrong; try again, or use another browser",
};

// A problem on its way to the page; the code is all that it says.
export class Problem extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}
