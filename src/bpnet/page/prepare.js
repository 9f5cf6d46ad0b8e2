// A drawing, made into a network's input as MNIST's digits were: bpnet/pictures.py, function by
// function and step by step, for one channel of 8 bits.  Its comments say why; here stands what
// is Python's, NumPy's and Pillow's own.
//
// A picture is {h, w, a}: a lists h rows of w values.
"use strict";

const BOX = 20 / 28; // of the side: the longer side of a digit's box
const WORK = 128; // pixels of the longer side in which paper and ink are told apart
const GRID = 32; // the same, where the light is measured
const LOOKS = 6; // at the picture, each closer
const FAINT = 8; // of 255: less contrast is none

// Return the digit in a picture of more than side x side bytes as MNIST would show it,
// side * side values in [0, 1); null if the picture is blank.
function digit(picture, side) {
  let ink;
  for (let look = 0; look < LOOKS; look++) {
    ink = inkOf(picture);
    if (ink === null) return null;
    let part = withinFrame(ink);
    if (part === null) {
      const mask = kept(ink);
      ink = { ...ink, a: ink.a.map((value, i) => value * mask[i]) };
      part = aroundDigit(ink);
    }
    if (part === null) break;
    const scale = [picture.w / ink.w, picture.h / ink.h];
    picture = cropped(
      picture,
      part.map((n, i) => round(n * scale[i % 2])),
    );
  }
  return placed(ink, side);
}

// Python and NumPy

// Return x rounded to an integer, halves to the even one.
function round(x) {
  const below = Math.floor(x);
  return x - below === 0.5 ? below + (below % 2) : Math.round(x);
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function clip(x, low, high) {
  return Math.min(Math.max(x, low), high);
}

function most(values) {
  return values.reduce((a, b) => Math.max(a, b), -Infinity);
}

function least(values) {
  return values.reduce((a, b) => Math.min(a, b), Infinity);
}

function mean(values) {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

function minus(p, q) {
  return { ...p, a: p.a.map((value, i) => value - q.a[i]) };
}

function dot(u, v) {
  let sum = 0;
  for (let k = 0; k < u.length; k++) sum += u[k] * v[k];
  return sum;
}

// Return x with A x = b, by Gaussian elimination; A is of rows, and both are overwritten.
function solve(A, b) {
  const n = b.length;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(A[i][k]) > Math.abs(A[pivot][k])) pivot = i;
    [A[k], A[pivot]] = [A[pivot], A[k]];
    [b[k], b[pivot]] = [b[pivot], b[k]];
    for (let i = k + 1; i < n; i++) {
      const share = A[i][k] / A[k][k];
      for (let j = k; j < n; j++) A[i][j] -= share * A[k][j];
      b[i] -= share * b[k];
    }
  }
  for (let k = n - 1; k >= 0; k--) {
    for (let j = k + 1; j < n; j++) b[k] -= A[k][j] * b[j];
    b[k] /= A[k][k];
  }
  return b;
}

// Return the picture transposed.
function turned({ h, w, a }) {
  const found = new Float64Array(a.length);
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) found[x * h + y] = a[y * w + x];
  return { h: w, w: h, a: found };
}

// Pillow

function cropped({ w, a }, [left, top, right, bottom]) {
  const found = new Float64Array((bottom - top) * (right - left));
  for (let y = top; y < bottom; y++) {
    found.set(a.slice(y * w + left, y * w + right), (y - top) * (right - left));
  }
  return { h: bottom - top, w: right - left, a: found };
}

// The filters of Pillow's Resample.c: their reach in pixels, their values.
const BOX_FILTER = [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)];
const BILINEAR = [1, (x) => Math.max(0, 1 - Math.abs(x))];

// For each of m pixels that replace n: [the first of those that it is made of, their weights].
function coefficients(n, m, [reach, filter]) {
  const scale = n / m;
  const stretch = Math.max(1, scale);
  return Array.from({ length: m }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach * stretch + 0.5));
    const end = Math.min(n, Math.trunc(centre + reach * stretch + 0.5));
    const weights = [];
    for (let x = first; x < end; x++) weights.push(filter((x - centre + 0.5) * (1 / stretch)));
    const sum = weights.reduce((a, b) => a + b, 0);
    return [first, weights.map((weight) => weight / sum)];
  });
}

// Return the rows of a picture with m pixels each; stored rounds a sum to what Pillow stores.
function resizedRows({ h, w, a }, m, filter, weighed, stored) {
  if (m === w) return { h, w, a };
  const found = new Float64Array(h * m);
  coefficients(w, m, filter).forEach(([first, weights], i) => {
    const factors = weights.map(weighed);
    for (let y = 0; y < h; y++) {
      let sum = 0;
      for (let k = 0; k < factors.length; k++) sum += a[y * w + first + k] * factors[k];
      found[y * m + i] = stored(sum);
    }
  });
  return { h, w: m, a: found };
}

function resized(picture, h, w, ...how) {
  return turned(resizedRows(turned(resizedRows(picture, w, ...how)), h, ...how));
}

// Bytes are summed in integers, 22 bits after the point; floats in doubles, kept in 32 bits.
const BYTES = [
  (weight) => Math.floor(0.5 + weight * 2 ** 22),
  (sum) => Math.floor((sum + 2 ** 21) / 2 ** 22),
];
const FLOATS = [(weight) => weight, Math.fround];

// Return the picture no longer than longest.
function reduced(picture, longest) {
  const scale = Math.min(1, longest / Math.max(picture.w, picture.h));
  const [h, w] = [picture.h, picture.w].map((length) => Math.max(3, round(scale * length)));
  return resized(picture, h, w, BOX_FILTER, ...BYTES);
}

// Return p interpolated to h x w.
function enlarged(p, h, w) {
  return resized({ ...p, a: p.a.map(Math.fround) }, h, w, BILINEAR, ...FLOATS);
}

// Paper and ink

// Return how much ink there is, from 0 to 1; null if there is none.
function inkOf(picture) {
  const p = reduced(picture, WORK);
  const light = enlarged(paper(reduced(picture, GRID)), p.h, p.w);
  const [d, level] = contrast(minus(p, light));
  const { h, w, a } = d;
  const steps = a.map((value, i) => (i % w < 2 ? -1 : Math.abs(value - a[i - 2])));
  const noise = 1.05 * median(steps.filter((step) => step >= 0));
  if (level < Math.max(FAINT, 4 * noise)) return null;
  const low = Math.min(Math.max(0.15 * level, 2 * noise), 0.4 * level);
  return { h, w, a: a.map((value) => clip((value - low) / (level - low), 0, 1)) };
}

// Return what sets ink off from the paper, and how much that is for most ink.
function contrast(d) {
  let smooth = d.a;
  if (Math.min(d.h, d.w) > GRID) {
    smooth = neighbours(d, (a, b) => a + b).a.map((sum) => sum / 9);
  }
  let highest = most(smooth);
  const lowest = least(smooth);
  if (highest < -lowest) {
    d = { ...d, a: d.a.map((value) => -value) };
    highest = -lowest;
  }
  return [d, Math.max(median(d.a.filter((value) => value >= highest / 2)), 1e-9)];
}

// Return each value combined with its eight neighbours.
function neighbours(picture, combine) {
  for (let pass = 0; pass < 2; pass++) {
    const { h, w, a } = picture;
    const found = new Float64Array(a.length);
    for (let y = 0; y < h; y++) {
      const above = Math.max(y - 1, 0) * w,
        here = y * w,
        below = Math.min(y + 1, h - 1) * w;
      for (let x = 0; x < w; x++) {
        found[here + x] = combine(combine(a[above + x], a[here + x]), a[below + x]);
      }
    }
    picture = turned({ h, w, a: found });
  }
  return picture;
}

// Return the paper's light where there is ink, too.
function paper(p) {
  const powers = powersOf(p.h, p.w, 2);
  const even = fitted(powers, p, new Float64Array(p.a.length).fill(1), 0);
  if (contrast(minus(p, even))[1] < FAINT) return even;
  const sorted = Float64Array.from(p.a).sort();
  const starts = [0.1, 0.9].map((q) => sorted[round(q * (sorted.length - 1))]);
  const planes = starts.map((start) => surface(p, 1, new Float64Array(p.a.length).fill(start)));
  const spreads = planes.map((plane) => spread(minus(p, plane)));
  let best = planes[spreads[1] < spreads[0] ? 1 : 0];
  let left = unexplained(minus(p, best));
  let found = surface(p, 2, best.a);
  if (unexplained(minus(p, found)) < 0.9 * left) {
    best = found;
    left = unexplained(minus(p, best));
  }
  if (left > 0.012) {
    found = surroundings(p);
    if (unexplained(minus(p, found)) < 0.9 * left) return found;
  }
  return best;
}

// Return the polynomial of x and y that most of p is near to, from the fit before the first.
function surface(p, degree, start) {
  const powers = powersOf(p.h, p.w, degree);
  let fit = { ...p, a: start };
  for (const far of [100, 60, 35, 20, 12, 8]) {
    const weights = p.a.map((y, i) => (1 + (y - fit.a[i]) ** 2 / far ** 2) ** -2);
    fit = fitted(powers, p, weights, 1e-6);
  }
  return fit;
}

// Return the weighted least squares fit of powers to p; ridge is added to the diagonal.
function fitted(powers, p, weights, ridge) {
  const weighted = powers.map((power) => power.map((value, k) => value * weights[k]));
  const squares = weighted.map((one, i) =>
    powers.map((other, j) => dot(one, other) + (i === j ? ridge : 0)),
  );
  const factors = solve(
    squares,
    weighted.map((one) => dot(one, p.a)),
  );
  const fit = new Float64Array(p.a.length);
  powers.forEach((power, i) => {
    for (let k = 0; k < fit.length; k++) fit[k] += factors[i] * power[k];
  });
  return { ...p, a: fit };
}

// Return x ** i * y ** j of each pixel for i + j <= degree; x, y in [-1, 1].
function powersOf(h, w, degree) {
  const found = [];
  for (let i = 0; i <= degree; i++) {
    for (let j = 0; j <= degree - i; j++) {
      const power = new Float64Array(h * w);
      for (let k = 0; k < h * w; k++) {
        const x = -1 + (2 * (k % w)) / (w - 1),
          y = -1 + (2 * Math.floor(k / w)) / (h - 1);
        power[k] = x ** i * y ** j;
      }
      found.push(power);
    }
  }
  return found;
}

// Return the median of the 13 x 13 pixels around each one, the picture mirrored at its edges.
function surroundings({ h, w, a }) {
  const mirrored = (i, n) => {
    const k = ((i % (2 * n)) + 2 * n) % (2 * n);
    return k < n ? k : 2 * n - 1 - k;
  };
  const found = a.map((_, i) => {
    const square = [];
    for (let dy = -6; dy <= 6; dy++) {
      for (let dx = -6; dx <= 6; dx++) {
        square.push(a[mirrored(Math.floor(i / w) + dy, h) * w + mirrored((i % w) + dx, w)]);
      }
    }
    return median(square);
  });
  return { h, w, a: found };
}

// Return how far the pixels are from paper or ink, mean squares, the contrast being 1.
function unexplained(difference) {
  const [{ a }, level] = contrast(difference);
  return mean(a.map((d) => Math.min(Math.abs(d / level), Math.abs(d / level - 1)) ** 2));
}

// Return ink's share of the picture and of its edge.
function spread(difference) {
  const [d, level] = contrast(difference);
  const mask = { ...d, a: d.a.map((value) => (value > level / 2 ? 1 : 0)) };
  const sides = sidesOf(mask);
  const framed = Math.min(...sides.map(mean)) > 0.95;
  return mean(mask.a) + (framed ? 0 : mean(sides.flat()));
}

function sidesOf({ h, w, a }) {
  const rows = [...Array(h).keys()];
  return [
    Array.from(a.slice(0, w)),
    Array.from(a.slice((h - 1) * w)),
    rows.map((y) => a[y * w]),
    rows.map((y) => a[y * w + w - 1]),
  ];
}

// The digit

// Return what is within the frame that ink's edge is, [left, top, right, bottom], or null.
function withinFrame(ink) {
  const mask = { ...ink, a: ink.a.map((value) => (value > 0.3 ? 1 : 0)) };
  if (Math.min(...sidesOf(mask).map(mean)) <= 0.95) return null;
  const upsideDown = (p) => ({ ...p, a: Float64Array.from(p.a).reverse() });
  const top = thickness(mask),
    left = thickness(turned(mask));
  const bottom = thickness(upsideDown(mask)),
    right = thickness(turned(upsideDown(mask)));
  return [left, top, mask.w - right, mask.h - bottom];
}

// Return how many rows from the top are a frame: most of it ink, a seventh at most.
function thickness({ h, w, a }) {
  const rows = Math.max(1, Math.floor(h / 7));
  let n = 0;
  while (n < rows && mean(a.slice(n * w, (n + 1) * w)) > 0.7) n++;
  return n;
}

// Return what is worth a closer look if the digit is small, or null.
function aroundDigit(ink) {
  const [top, bottom, left, right] = boxOf(ink, 0.3);
  const longer = Math.max(bottom - top, right - left);
  if (2 * longer >= Math.max(ink.h, ink.w)) return null;
  const margin = Math.floor(longer / 4) + 2;
  return [
    Math.max(0, left - margin),
    Math.max(0, top - margin),
    Math.min(ink.w, right + margin),
    Math.min(ink.h, bottom + margin),
  ];
}

// Return [top, bottom, left, right] of what is more than low.
function boxOf({ h, w, a }, low) {
  const found = [h, 0, w, 0];
  a.forEach((value, i) => {
    if (!(value > low)) return;
    const y = Math.floor(i / w),
      x = i % w;
    found[0] = Math.min(found[0], y);
    found[1] = Math.max(found[1], y + 1);
    found[2] = Math.min(found[2], x);
    found[3] = Math.max(found[3], x + 1);
  });
  return found;
}

// Return where the digit is, a mask of 0 and 1: neither frames, nor specks, nor the edge's.
function kept(ink) {
  const { h, w } = ink;
  const parts = partsOf(ink);
  const framed = parts.map((part) => isFrame(part, h, w));
  const areas = parts.map((part, i) =>
    framed[i] && !framed.every(Boolean) ? 0 : part.pixels.length,
  );
  const inner = parts.map(
    (part) => part.top > 0 && part.left > 0 && part.bottom < h && part.right < w,
  );
  const large = ({ top, bottom, left, right }) =>
    Math.max(bottom - top, right - left) > 0.2 * Math.max(h, w);
  if (parts.some((part, i) => inner[i] && areas[i] > 0 && large(part))) {
    inner.forEach((within, i) => within || (areas[i] = 0));
  }
  const mask = new Float64Array(h * w);
  parts.forEach((part, i) => {
    if (areas[i] > 0.04 * most(areas)) part.pixels.forEach((k) => (mask[k] = 1));
  });
  return neighbours(neighbours({ h, w, a: mask }, Math.max), Math.max).a;
}

// A frame is large, and all of it is near to the sides of its own box.
function isFrame({ pixels, top, bottom, left, right }, h, w) {
  const high = bottom - top,
    wide = right - left;
  if (!(high > 0.7 * h && wide > 0.7 * w)) return false;
  return !pixels.some((k) => {
    const y = Math.floor(k / w),
      x = k % w;
    return (
      Math.min(y - top, bottom - 1 - y) >= 0.1 * high &&
      Math.min(x - left, right - 1 - x) >= 0.1 * wide
    );
  });
}

// Return what hangs together, also by corners: pixels, and the box around them.
function partsOf({ h, w, a }) {
  const left = a.map((value) => (value > 0.3 ? 1 : 0));
  const parts = [];
  for (let start = 0; start < left.length; start++) {
    if (!left[start]) continue;
    const part = { pixels: [start], top: h, bottom: 0, left: w, right: 0 };
    left[start] = 0;
    for (let i = 0; i < part.pixels.length; i++) {
      const y = Math.floor(part.pixels[i] / w),
        x = part.pixels[i] % w;
      part.top = Math.min(part.top, y);
      part.bottom = Math.max(part.bottom, y + 1);
      part.left = Math.min(part.left, x);
      part.right = Math.max(part.right, x + 1);
      for (let v = Math.max(y - 1, 0); v <= Math.min(y + 1, h - 1); v++) {
        for (let u = Math.max(x - 1, 0); u <= Math.min(x + 1, w - 1); u++) {
          if (!left[v * w + u]) continue;
          left[v * w + u] = 0;
          part.pixels.push(v * w + u);
        }
      }
    }
    parts.push(part);
  }
  return parts;
}

// Return ink in MNIST's size, its centre of mass in the middle of side x side.
function placed(ink, side) {
  const [top, bottom, left, right] = boxOf(ink, 0.1);
  const part = cropped(ink, [left, top, right, bottom]);
  const scale = round(BOX * side) / Math.max(part.h, part.w);
  const [h, w] = [part.h, part.w].map((length) => Math.max(1, round(scale * length)));
  const small = turned(shared(turned(shared(part, w)), h));
  const [y, x] = centreOf(small).map((centre, axis) =>
    Math.min(Math.max(0, round(side / 2 - centre)), side - [h, w][axis]),
  );
  const found = new Float64Array(side * side);
  const full = most(small.a);
  small.a.forEach((value, i) => {
    found[(y + Math.floor(i / w)) * side + x + (i % w)] = (value / full) * (255 / 256);
  });
  return found;
}

// Return the rows of a picture with m pixels each, of every old one the share that it covers.
function shared({ h, w, a }, m) {
  const found = new Float64Array(h * m);
  for (let i = 0; i < m; i++) {
    const from = (i * w) / m,
      to = ((i + 1) * w) / m;
    for (let x = Math.floor(from); x < Math.min(w, Math.ceil(to)); x++) {
      const share = ((clip(to - x, 0, 1) - clip(from - x, 0, 1)) * m) / w;
      for (let y = 0; y < h; y++) found[y * m + i] += share * a[y * w + x];
    }
  }
  return { h, w: m, a: found };
}

// Return the centre of mass, [row, column].
function centreOf({ w, a }) {
  let sum = 0,
    rows = 0,
    columns = 0;
  a.forEach((value, i) => {
    sum += value;
    rows += value * Math.floor(i / w);
    columns += value * (i % w);
  });
  return [rows / sum, columns / sum];
}
