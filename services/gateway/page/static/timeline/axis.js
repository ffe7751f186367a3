// From times to places: linear, but long stretches in which no model and no tool worked are folded.
import { duration } from "../format.js";
import { BUSY } from "./kinds.js";

const MOST_FOLDS = 20;
const LONG_MS = 5000;
const LONG_SHARE = 0.15;
const FOLDED_SHARE = 0.06;
const TICK_PX = 90;
const LABEL_PX = 46;
const STEPS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5, 6048e5];

/** The times in which a model or a tool worked, as intervals without overlap, in order. */
function busyTimes(bars) {
  const sorted = bars.filter((it) => BUSY.has(it.kind)).sort((a, b) => a.from - b.from);
  const joined = [];
  for (const { from, to } of sorted) {
    const last = joined.at(-1);
    if (last && from <= last[1]) last[1] = Math.max(last[1], to);
    else joined.push([from, to]);
  }
  return joined;
}

function gaps(busy, from, to) {
  const found = [];
  let at = from;
  for (const [begin, end] of busy) {
    if (begin > at) found.push([at, begin]);
    at = Math.max(at, end);
  }
  if (to > at) found.push([at, to]);
  return found;
}

export class Axis {
  /** `bars`: with `from` and `to` in ms; `zoom`: the part of the whole that is shown, 0 to 1. */
  constructor(bars, from, to, { fold = true, zoom = [0, 1] } = {}) {
    this.from = from;
    this.to = Math.max(to, from + 1);
    this.zoom = zoom;
    const whole = this.to - from;
    const all = fold ? gaps(busyTimes(bars), from, this.to) : [];
    const others = whole - all.reduce((sum, [a, b]) => sum + b - a, 0);
    const long = Math.max(LONG_MS, LONG_SHARE * (others || whole));
    const folded = all
      .filter(([a, b]) => b - a > long)
      .sort((a, b) => b[1] - b[0] - (a[1] - a[0]))
      .slice(0, MOST_FOLDS)
      .sort((a, b) => a[0] - b[0]);
    const unfolded = whole - folded.reduce((sum, [a, b]) => sum + b - a, 0);
    const narrow = (unfolded || whole) * Math.min(FOLDED_SHARE, 0.5 / Math.max(1, folded.length));
    this.parts = [];
    let at = from;
    for (const [begin, end] of folded) {
      if (begin > at) this.parts.push({ from: at, to: begin, width: begin - at });
      this.parts.push({ from: begin, to: end, width: narrow, folded: true });
      at = end;
    }
    if (this.to > at) this.parts.push({ from: at, to: this.to, width: this.to - at });
    const total = this.parts.reduce((sum, it) => sum + it.width, 0);
    let x = 0;
    for (const part of this.parts) {
      part.x = x;
      part.width /= total;
      x += part.width;
    }
  }

  /** The place of a time in the shown part: 0 is its left end, 1 its right end. */
  x(time) {
    const t = Math.min(this.to, Math.max(this.from, time));
    let low = 0;
    let high = this.parts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.parts[middle].from <= t) low = middle;
      else high = middle - 1;
    }
    const part = this.parts[low];
    const whole = part.x + (part.width * (t - part.from)) / (part.to - part.from);
    return (whole - this.zoom[0]) / (this.zoom[1] - this.zoom[0]);
  }

  folds() {
    return this.parts
      .filter((it) => it.folded)
      .map((it) => ({ x: this.x(it.from), end: this.x(it.to), label: duration(it.to - it.from) }))
      .filter(({ x, end }) => end > 0 && x < 1);
  }

  /** Marks of the time since the beginning, as far apart as their texts need. */
  ticks(pixels) {
    const shown = this.parts.filter((it) => !it.folded);
    if (!shown.length) return [];
    const first = shown[0];
    const perPixel = (first.to - first.from) / (first.width * pixels / (this.zoom[1] - this.zoom[0]));
    const step = STEPS_MS.find((it) => it >= perPixel * TICK_PX) ?? STEPS_MS.at(-1);
    const found = [];
    for (const part of shown) {
      const begin = Math.ceil((part.from - this.from) / step) * step;
      const least = this.from + begin;
      for (let time = least; time <= part.to && found.length < 200; time += step) {
        const x = this.x(time);
        const fold = this.folds().find((it) => it.end > x && (it.x - x) * pixels < LABEL_PX);
        if (fold) continue;
        const near = found.length && (x - found.at(-1).x) * pixels < TICK_PX * 0.6;
        if (x >= 0 && x * pixels + LABEL_PX <= pixels && !near) found.push({ x, label: time === this.from ? "0" : duration(time - this.from) });
      }
    }
    return found;
  }
}
