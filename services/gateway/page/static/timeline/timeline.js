// The timeline of a tree of runs: rows on demand, of which only those in view are in the document.
import { Component, html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../html.js";
import { duration, plural } from "../format.js";
import { useNow } from "../live.js";
import { announce } from "../notices.js";
import { Status, ended } from "../parts.js";
import { Axis } from "./axis.js";
import { KINDS } from "./kinds.js";
import { Bar, Summary } from "./lane.js";
import { barName, interrupted, outline, rows as rowsOf } from "./rows.js";

const ROW_PX = 30;
const MARGIN_ROWS = 12;
const ZOOM = 2;
const FOLD_LABEL_PX = 26;

/** `tree` as `merged` makes it; `chosen`: the key of the row whose details are shown; `split`: whether
 *  they share the screen. */
export function Timeline({ tree, root, chosen, onChoose, split }) {
  const moving = [...tree.runs.values()].some((it) => !ended(it.status));
  const now = useNow(1000, moving);
  const [opened, setOpened] = useState(() => new Set([root, ...ancestors(tree, chosen)]));
  const [fold, setFold] = useState(true);
  const [zoom, setZoom] = useState([0, 1]);
  const [active, setActive] = useState(null);
  const [pixels, lane] = useWidth();
  const list = useRef(null);

  const end = moving ? Math.max(now, tree.at ?? 0) : 0;
  const whole = useMemo(() => outline(tree, end || tree.at), [tree, end]);
  const axis = useMemo(() => new Axis(whole.bars, whole.from, whole.to, { fold, zoom }), [whole, fold, zoom]);
  const rows = useMemo(() => rowsOf(tree, whole, opened), [tree, whole, opened]);
  const [top, height, onScroll] = useWindow(list);

  const toggle = (id, open) =>
    setOpened((old) => {
      const next = new Set(old);
      if (open ?? !next.has(id)) next.add(id);
      else next.delete(id);
      return next;
    });
  useEffect(() => {
    const row = chosen && rows.find((it) => it.key === chosen);
    if (row) onChoose(row);
  }, []);
  const at = Math.max(0, rows.findIndex((it) => it.key === active));
  function activate(index) {
    const to = Math.max(0, Math.min(rows.length - 1, index));
    setActive(rows[to].key);
    show(rows[to]);
    const box = list.current;
    if (to * ROW_PX < box.scrollTop) box.scrollTop = to * ROW_PX;
    if ((to + 1) * ROW_PX > box.scrollTop + box.clientHeight) box.scrollTop = (to + 1) * ROW_PX - box.clientHeight;
  }
  /** Moves the shown part of the time to a row's bars, where they are outside of it. */
  function show(row) {
    const [from, end] = placeOf(row, axis);
    if (end < 0 || from > 1) moveTo(zoom[0] + ((from + end) / 2) * (zoom[1] - zoom[0]));
  }
  function moveTo(middle, width = zoom[1] - zoom[0]) {
    const begin = Math.max(0, Math.min(1 - width, middle - width / 2));
    setZoom([begin, begin + width]);
  }
  function onKey(event) {
    const row = rows[at];
    const page = Math.floor(height / ROW_PX) || 10;
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    if (event.key in moves) activate(active ? at + moves[event.key] : 0);
    else if (event.key === "Home") activate(0);
    else if (event.key === "End") activate(rows.length - 1);
    else if (event.key === "ArrowRight" && row.expandable) toggle(row.key, true);
    else if (event.key === "ArrowLeft" && row.open) toggle(row.key, false);
    else if (event.key === "ArrowLeft") activate(rows.findLastIndex((it, index) => index < at && it.level < row.level));
    else if (event.key === "Enter" || event.key === " ") onChoose(row);
    else return;
    event.preventDefault();
  }
  const actions = useRef({}).current; // the same object each time, so that rows are not drawn again
  actions.toggle = (row) => toggle(row.key);
  actions.choose = (row) => {
    setActive(row.key);
    show(row);
    onChoose(row);
  };
  /** The next row whose name has the text; without one, the first. */
  function find(text) {
    const wanted = text.toLowerCase();
    const matches = rows.map((it, index) => (nameOf(it).toLowerCase().includes(wanted) ? index : -1)).filter((it) => it >= 0);
    if (!matches.length) announce("No step has this name.");
    else activate(matches.find((it) => active && it > at) ?? matches[0]);
  }
  function zoomBy(factor) {
    const width = zoom[1] - zoom[0];
    const [from, to] = active ? placeOf(rows[at], axis) : [0, 1];
    moveTo(zoom[0] + ((from + to) / 2) * width, Math.min(1, width * factor));
  }
  const move = (share) => moveTo((zoom[0] + zoom[1]) / 2 + share * (zoom[1] - zoom[0]));
  const zoomed = zoom[1] - zoom[0] < 1;
  const first = Math.max(0, Math.floor(top / ROW_PX) - MARGIN_ROWS);
  const shown = rows.slice(first, Math.ceil((top + height) / ROW_PX) + MARGIN_ROWS);
  const all = [...tree.runs.keys()];
  return html`<section class=${split ? "timeline split" : "timeline"} aria-labelledby="timeline-title">
    <div class="timeline-head">
      <h2 id="timeline-title">Timeline</h2>
      <p class="dim">${plural(tree.runs.size, "run")}, ${plural(tree.steps, "step")}, ${duration(whole.to - whole.from)}</p>
      <div class="actions">
        <input type="search" class="find" aria-label="Find a step" placeholder="Find a step" title="Enter: the next one"
          onKeyDown=${(event) => event.key === "Enter" && event.target.value && find(event.target.value)} />
        ${all.length > 1 && html`<button type="button" class="quiet" onClick=${() => setOpened(opened.size === all.length ? new Set([root]) : new Set(all))}>${opened.size === all.length ? "Close workers" : "Open all"}</button>`}
        <label class="check"><input type="checkbox" checked=${fold} onChange=${(event) => setFold(event.target.checked)} />Fold gaps</label>
        ${zoomed && html`<button type="button" class="quiet" aria-label="Earlier" onClick=${() => move(-0.5)}>←</button>
          <button type="button" class="quiet" aria-label="Later" onClick=${() => move(0.5)}>→</button>`}
        <button type="button" class="quiet" aria-label="Zoom out" disabled=${!zoomed} onClick=${() => zoomBy(ZOOM)}>−</button>
        <button type="button" class="quiet" aria-label="Zoom in" onClick=${() => zoomBy(1 / ZOOM)}>+</button>
      </div>
    </div>
    <div>
    <div class="rows-head" aria-hidden="true"><span>Step</span><span class="right">Took</span><${Ruler} axis=${axis} pixels=${pixels} place=${lane} onZoom=${setZoom} /></div>
    <div class="rows" ref=${list} role="treegrid" aria-label="Steps" aria-rowcount=${rows.length} tabindex="0"
      aria-activedescendant=${active && `row-${active}`} onKeyDown=${onKey} onScroll=${onScroll}>
      <div class="rows-all" role="presentation" style=${{ height: `${rows.length * ROW_PX}px` }}>
        <${Folds} axis=${axis} />
        ${shown.map((row, index) => html`<${Row} key=${row.key} row=${row} index=${first + index} axis=${axis} pixels=${pixels}
          active=${row.key === active} chosen=${row.key === chosen}
          actions=${actions} />`)}
      </div>
    </div></div>
    <${Legend} bars=${whole.bars} folded=${axis.folds().length > 0} />
  </section>`;
}

/** Where a row's bars begin and end. */
function placeOf({ bar, bars, call }, axis) {
  const all = bar ? [bar] : [...bars, ...(call ? [call] : [])];
  return all.length ? [axis.x(Math.min(...all.map((it) => it.from))), axis.x(Math.max(...all.map((it) => it.to)))] : [0, 1];
}

const nameOf = (row) => (row.bar ? `${barName(row.bar)} ${row.bar.reason}` : row.run.agent);

/** The runs that must be open for a chosen row to be seen. */
function ancestors(tree, key) {
  const found = [];
  for (let run = tree.runs.get(key?.split("/")[0]); run; run = tree.runs.get(run.parent_run_id)) found.push(run.run_id);
  return found;
}

/** Drawn again only when something of it has changed: scrolling draws the rows that come into view. */
class Row extends Component {
  shouldComponentUpdate(next) {
    return Object.keys(next).some((it) => next[it] !== this.props[it]);
  }

  render(props) {
    return rowOf(props);
  }
}

function rowOf({ row, index, axis, pixels, active, chosen, actions }) {
  const { run, bar, level } = row;
  const own = bar ?? row.call;
  const took = own ? own.to - own.from : row.bars.length ? row.bars.at(-1).to - row.bars[0].from : null;
  const classes = `row${active ? " active" : ""}${chosen ? " chosen" : ""}${bar ? "" : " of-run"}`;
  return html`<div class=${classes} id=${`row-${row.key}`} role="row" aria-level=${level} aria-rowindex=${index + 1}
    aria-expanded=${row.expandable ? String(row.open) : null} aria-selected=${chosen ? "true" : "false"}
    style=${{ top: `${index * ROW_PX}px` }} onClick=${() => actions.choose(row)}>
    <span role="gridcell" class="cell-name" style=${{ paddingLeft: `calc(${level - 1} * var(--indent))` }}>
      ${row.expandable ? html`<span class="toggle" onClick=${(event) => { event.stopPropagation(); actions.toggle(row); }} aria-hidden="true">${row.open ? "▾" : "▸"}</span>` : html`<span class="toggle"></span>`}
      ${bar
        ? html`<i class=${`key ${bar.kind}`} aria-hidden="true"></i><span class="unseen">${KINDS[bar.kind].label} </span><span class="row-name">${barName(bar)}${interrupted(bar) && html`<span class="why"> ${bar.reason}</span>`}</span>${bar.step && html`<span class="dim place" title=${`turn ${bar.step.turn}, step ${bar.step.position}`}>${bar.step.turn}.${bar.step.position}</span>`}`
        : html`<span class="row-name agent">${run.agent}</span><${Status} status=${run.status} />`}
    </span>
    <span role="gridcell" class="right cell-took">${took == null ? "" : duration(took)}</span>
    <span role="gridcell" class="lane"><span aria-hidden="true">
      ${bar ? html`<${Bar} bar=${bar} axis=${axis} pixels=${pixels} />` : html`${row.call && html`<${Bar} bar=${row.call} axis=${axis} pixels=${pixels} label=${false} />`}<${Summary} bars=${row.bars} axis=${axis} pixels=${pixels} />`}
    </span></span>
  </div>`;
}

/** Times since the beginning. A drag over it shows that part. */
function Ruler({ axis, pixels, place, onZoom }) {
  const [drag, setDrag] = useState(null);
  const share = (event) => {
    const box = place.current.getBoundingClientRect();
    return Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
  };
  const whole = (x) => axis.zoom[0] + x * (axis.zoom[1] - axis.zoom[0]);
  function begin(event) {
    event.currentTarget.setPointerCapture(event.pointerId);
    setDrag([share(event), share(event)]);
  }
  function finish() {
    const [from, to] = [Math.min(...drag), Math.max(...drag)];
    setDrag(null);
    if (to - from > 0.01) onZoom([whole(from), whole(to)]);
  }
  return html`<span class="ruler" ref=${place} title="Drag to show a part, double-click for the whole" onPointerDown=${begin}
    onPointerMove=${(event) => drag && setDrag([drag[0], share(event)])} onPointerUp=${() => drag && finish()} onDblClick=${() => onZoom([0, 1])}>
    ${axis.ticks(pixels).map((it) => html`<span key=${it.x} class="tick" style=${{ left: `${it.x * 100}%` }}>${it.label}</span>`)}
    ${axis.folds().map((it) => html`<span key=${`fold${it.x}`} class="fold-label" style=${{ left: `${it.x * 100}%`, width: `${(it.end - it.x) * 100}%` }} title=${`${it.label} in which no model and no tool worked`}>${(it.end - it.x) * pixels > FOLD_LABEL_PX && html`<span>${it.label}</span>`}</span>`)}
    ${drag && html`<span class="drag" style=${{ left: `${Math.min(...drag) * 100}%`, width: `${Math.abs(drag[1] - drag[0]) * 100}%` }}></span>`}
  </span>`;
}

function Folds({ axis }) {
  return html`<div class="folds" aria-hidden="true"><div>
    ${axis.folds().map((it) => html`<span key=${it.x} class="fold" style=${{ left: `${it.x * 100}%`, width: `${(it.end - it.x) * 100}%` }}></span>`)}
  </div></div>`;
}

function Legend({ bars, folded }) {
  const used = useMemo(() => new Set(bars.map((it) => it.kind)), [bars]);
  return html`<ul class="legend" aria-label="Kinds of bars">
    ${Object.entries(KINDS).filter(([kind]) => used.has(kind)).map(([kind, it]) => html`<li key=${kind} title=${it.what}><i class=${`key ${kind}`} aria-hidden="true"></i>${it.label}</li>`)}
    ${folded && html`<li><i class="key folded" aria-hidden="true"></i>folded gap</li>`}
    <li class="keys">↑ ↓ move, → ← open and close, Enter shows a step</li>
  </ul>`;
}

function useWidth() {
  const place = useRef(null);
  const [pixels, setPixels] = useState(600);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(([entry]) => setPixels(entry.contentRect.width || 600));
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  return [pixels, place];
}

/** The part of a scrolled box that is in view. */
function useWindow(box) {
  const [view, setView] = useState([0, 600]);
  const frame = useRef(0);
  const read = () => {
    frame.current = 0;
    if (box.current) setView([box.current.scrollTop, box.current.clientHeight]);
  };
  const later = () => {
    frame.current ||= requestAnimationFrame(read);
  };
  useEffect(() => {
    read();
    const observer = new ResizeObserver(later);
    observer.observe(box.current);
    return () => {
      observer.disconnect();
      cancelAnimationFrame(frame.current);
    };
  }, []);
  return [...view, later];
}
