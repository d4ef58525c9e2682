// The crops of a registered picture, as pipeline/media/crops.py lists them: same slots, same pixels.
//
// A crop is given in thousandths of the picture's sides; slot 0 is the whole. A slot never changes
// in place, because codes that are stored were made with it; the list may grow at its end.

export const LEAST_SIDE = 64;

function centre(share) {
  const low = Math.floor((1000 - share) / 2);
  return [low, low, low + share, low + share];
}

function grid(share, steps) {
  const places = Array.from({ length: steps }, (_, at) =>
    Math.floor(((1000 - share) * at) / (steps - 1)));
  return places.flatMap((top) => places.map((left) => [left, top, left + share, top + share]));
}

function sides(share) {
  const rest = 1000 - share;
  return [[0, 0, share, 1000], [rest, 0, 1000, 1000], [0, 0, 1000, share], [0, rest, 1000, 1000]];
}

function strips(share) {
  const low = Math.floor((1000 - share) / 2);
  return [[low, 0, low + share, 1000], [0, low, 1000, low + share]];
}

function listed() {
  const wanted = [
    [0, 0, 1000, 1000],
    ...[900, 800, 700, 600, 500].flatMap(sides),
    ...[950, 900, 800, 700, 600, 500].map(centre),
    ...[950, 850].flatMap(sides),
    ...[750, 667, 562].flatMap(strips),
    ...grid(950, 3), ...grid(900, 3), ...grid(800, 3), ...grid(350, 5),
    ...grid(900, 5),
  ];
  return [...new Map(wanted.map((crop) => [crop.join(), crop])).values()];
}

export const CROPS = listed();

// The crops of a picture in whole pixels, {slot, left, top, right, bottom}, the whole first. Those
// with a side under LEAST_SIDE are left out.
export function registeredCrops(width, height) {
  return CROPS.map(([left, top, right, bottom], slot) => ({
    slot,
    left: halfUp(width, left),
    top: halfUp(height, top),
    right: halfUp(width, right),
    bottom: halfUp(height, bottom),
  })).filter((crop) => crop.slot === 0
    || Math.min(crop.right - crop.left, crop.bottom - crop.top) >= LEAST_SIDE);
}

function halfUp(side, thousandths) {
  return Math.floor((side * thousandths + 500) / 1000);
}
