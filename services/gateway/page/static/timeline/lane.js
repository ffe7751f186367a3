// Bars on one line. Of many thousands only those that can be told apart become elements.
import { html } from "../html.js";
import { duration } from "../format.js";
import { KINDS, WEIGHT } from "./kinds.js";
import { barName, interrupted } from "./rows.js";

const MOST_ELEMENTS = 80;
const PLACES = 300;
const LABEL_PX = 60;

const percent = (share) => `${(share * 100).toFixed(3)}%`;

export function Bar({ bar, axis, pixels, label = true }) {
  const x = Math.max(0, axis.x(bar.from));
  const end = Math.min(1, axis.x(bar.to));
  if (end < 0 || x > 1) return html`<span class=${end < 0 ? "beyond" : "beyond right"}>${end < 0 ? "‹" : "›"}</span>`;
  const width = Math.max(0, end - x);
  const text = label && width * pixels > LABEL_PX ? barName(bar) : "";
  return html`<span class=${`bar ${bar.kind}${bar.open ? " open" : ""}${interrupted(bar) ? " interrupted" : ""}`} style=${{ left: percent(x), width: percent(width) }}
    title=${`${KINDS[bar.kind].label}: ${barName(bar)}, ${duration(bar.to - bar.from)}${bar.open ? " so far" : ""}`}>${text}</span>`;
}

/** All bars of a run, as its summary. */
export function Summary({ bars, axis, pixels }) {
  if (bars.length <= MOST_ELEMENTS) {
    const ordered = [...bars].sort((a, b) => WEIGHT[a.kind] - WEIGHT[b.kind]);
    return ordered.map((bar, index) => html`<${Bar} key=${index} bar=${bar} axis=${axis} pixels=${pixels} label=${false} />`);
  }
  return places(bars, axis).map(
    ({ kind, from, to }) => html`<span key=${from} class=${`bar ${kind}`} style=${{ left: percent(from / PLACES), width: percent((to - from) / PLACES) }}></span>`,
  );
}

/** The kind that is seen at each of so many places, neighbours of one kind together. */
function places(bars, axis) {
  const seen = new Array(PLACES).fill(null);
  for (const { kind, from, to } of bars) {
    const first = Math.max(0, Math.floor(axis.x(from) * PLACES));
    const last = Math.min(PLACES - 1, Math.ceil(axis.x(to) * PLACES) - 1);
    for (let at = first; at <= last; at += 1) {
      if (!seen[at] || WEIGHT[kind] > WEIGHT[seen[at]]) seen[at] = kind;
    }
  }
  const joined = [];
  for (let at = 0; at < PLACES; at += 1) {
    const last = joined.at(-1);
    if (!seen[at]) continue;
    if (last && last.kind === seen[at] && last.to === at) last.to += 1;
    else joined.push({ kind: seen[at], from: at, to: at + 1 });
  }
  return joined;
}
