// What a chosen row of a timeline holds: a step's input and output, or why a run waited.
import { html, useEffect, useRef, useState } from "../html.js";
import { call } from "../api.js";
import { Approval } from "../approval.js";
import { duration, moment, money, number, plural } from "../format.js";
import { runPath } from "../parts.js";
import { Copy, Text, pretty } from "../text.js";
import { KINDS } from "./kinds.js";
import { barName, interrupted } from "./rows.js";

/** `approvals`: all requests of the tree. */
export function StepDetails({ row, approvals, onDecided, onClose }) {
  const bar = row.bar ?? row.call;
  const kind = bar && KINDS[bar.kind].label;
  const title = row.bar ? (barName(bar).startsWith(kind) ? barName(bar) : `${kind}: ${barName(bar)}`) : `run of ${row.run.agent}`;
  const run = row.call ? row.run.parent_run_id : row.run.run_id;
  const asked = approvals.filter((it) => bar?.step && it.run_id === run && it.turn === bar.step.turn && it.position === bar.step.position);
  const place = useRef(null);
  useEffect(() => place.current.scrollIntoView({ block: "nearest" }), [row.key]);
  return html`<section class="details card" ref=${place} aria-labelledby="details-title">
    <div class="details-head">
      <h2 id="details-title">${bar && html`<i class=${`key ${bar.kind}`} aria-hidden="true"></i>`}${title}</h2>
      ${bar?.step && html`<p class="dim">turn ${bar.step.turn}, step ${bar.step.position}${bar.step.epoch > 1 ? `, epoch ${bar.step.epoch}` : ""}</p>`}
      <div class="actions">
        ${!row.bar && html`<a href=${runPath(row.run.run_id)}>Open this run</a>`}
        <button type="button" class="quiet" onClick=${onClose} aria-label="Close the details">✕</button>
      </div>
    </div>
    ${bar && html`<${Facts} bar=${bar} />`}
    ${asked.map((it) => html`<${Approval} key=${it.id} approval=${it} onDecided=${onDecided} />`)}
    ${bar?.step && bar.kind !== "approval" ? html`<${Step} key=${row.key} run=${run} step=${bar.step} open=${bar.open} lost=${interrupted(bar)} />` : null}
  </section>`;
}

function Facts({ bar }) {
  const facts = [
    ["from", moment(new Date(bar.from).toISOString())],
    ["took", `${duration(bar.to - bar.from)}${bar.open ? " so far" : ""}`],
    ["process", bar.instance],
    ["reason", bar.reason],
    ["meaning", bar.step ? null : KINDS[bar.kind].what],
  ];
  return html`<dl class="facts">${facts.filter(([, value]) => value).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function Step({ run, step, open, lost }) {
  const path = `/api/runs/${encodeURIComponent(run)}/steps/${step.epoch}/${step.turn}/${step.position}`;
  const [state, setState] = useState({});
  const load = (full) =>
    call(full ? `${path}?full=1` : path).then((answer) => setState({ answer }), (error) => setState({ error }));
  useEffect(() => {
    if (!open && !lost) load(false);
  }, [path, open]);
  if (lost) return html`<p class="dim">It gave no result, and was made again if that was allowed.</p>`;
  if (open) return html`<p class="dim">Its input and output are kept when it has finished.</p>`;
  if (state.error) return html`<p class="error" role="alert">${state.error.message}</p>`;
  if (!state.answer) return html`<p class="loading">Loading the step…</p>`;
  const { input, output, usage, cost } = state.answer;
  return html`${usage && html`<p class="dim">${usageText(usage, cost)}</p>`}
    <div class="sides">
      <${Side} title="Input" value=${input} truncated=${state.answer.input_truncated} whole=${() => load(true)} />
      <${Side} title="Output" value=${output} truncated=${state.answer.output_truncated} whole=${() => load(true)} />
    </div>`;
}

export function Side({ title, value, truncated = false, whole = null, live = false, prose = false, children }) {
  const text = pretty(value);
  return html`<div class="side">
    <div class="side-head"><h3>${title}</h3>${text && html`<${Copy} text=${text} what=${`the ${title.toLowerCase()}`} />`}</div>
    ${text ? html`<${Text} text=${text} label=${title} truncated=${truncated} whole=${whole} live=${live} prose=${prose && text === value} />` : html`<p class="dim">${live ? "Nothing yet." : "Nothing."}</p>`}
    ${children}
  </div>`;
}

/** Model calls, tokens and cost in one line. */
function usageText(usage, cost) {
  const parts = [
    usage.model_calls != null && plural(usage.model_calls, "model call"),
    `${number(usage.input_tokens)} tokens in, ${number(usage.output_tokens)} out`,
    usage.cached_tokens > 0 && `${number(usage.cached_tokens)} from the cache`,
    cost != null && money(cost),
  ];
  return parts.filter(Boolean).join(" · ");
}
