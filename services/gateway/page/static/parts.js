// Small parts that several views use.
import { html, useEffect, useState } from "./html.js";
import { moment, relative, time } from "./format.js";

const STATUS = {
  ok: ["good", "✓"],
  partial: ["warn", "◐"],
  refused: ["warn", "⊘"],
  failed: ["bad", "✕"],
  timeout: ["bad", "⧗"],
  cancelled: ["calm", "–"],
  running: ["busy", "▶"],
  waiting: ["wait", "⋯"],
  due: ["calm", "○"],
  sent: ["calm", "→"],
  delayed: ["calm", "◷"],
  parked: ["warn", "‖"],
  pending: ["warn", "‖"],
  approved: ["good", "✓"],
  denied: ["bad", "✕"],
  expired: ["bad", "⧗"],
};

export function Status({ status }) {
  const [tone, sign] = STATUS[status] ?? ["calm", "•"];
  return html`<span class=${`status ${tone}`}><span aria-hidden="true">${sign}</span>${status}</span>`;
}

export const ended = (status) => !["sent", "due", "running", "waiting", "parked", "delayed"].includes(status);

export function Time({ at, now }) {
  if (!at) return html`<span class="dim">–</span>`;
  return html`<time datetime=${at} title=${moment(at)}>${relative(at, now)}</time>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><p class="title">${title}</p>${children}</div>`;
}

/** The heading of a view, with its actions. It takes the focus when the view opens. */
export function Heading({ title, children, detail }) {
  useEffect(() => {
    document.title = `${title} · Hutch`;
  }, [title]);
  return html`<div class="heading">
    <div><h1 tabindex="-1">${title}</h1>${detail && html`<p class="dim">${detail}</p>`}</div>
    ${children && html`<div class="actions">${children}</div>`}
  </div>`;
}

/** What is shown instead of a view's content: that it is loading, or why there is none. */
export function Missing({ error, what }) {
  if (!error) return html`<p class="loading">Loading ${what}…</p>`;
  return html`<div class="problem" role="alert"><p class="title">${what.charAt(0).toUpperCase() + what.slice(1)} can't be shown.</p><p>${error.message}</p></div>`;
}

export function Field({ label, hint, children, wide }) {
  return html`<label class=${wide ? "field wide" : "field"}><span>${label}${hint && html` <small>${hint}</small>`}</span>${children}</label>`;
}

export function Select({ value, onChange, options, ...rest }) {
  const known = options.map((it) => (Array.isArray(it) ? it : [it, it]));
  return html`<select value=${value} onChange=${(event) => onChange(event.target.value)} ...${rest}>
    ${known.map(([name, label]) => html`<option key=${name} value=${name} selected=${name === value}>${label}</option>`)}
  </select>`;
}

/** A search field that reports what was typed, once typing has paused. */
export function Search({ value, onChange, label, placeholder, suggestions = [] }) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed === value) return undefined;
    const timer = setTimeout(() => onChange(typed.trim()), 300);
    return () => clearTimeout(timer);
  }, [typed]);
  return html`<${Field} label=${label}>
    <input type="search" value=${typed} placeholder=${placeholder} spellcheck=${false} data-search list=${suggestions.length ? `${label}-suggestions` : null}
      onInput=${(event) => setTyped(event.target.value)} />
    ${suggestions.length > 0 && html`<datalist id=${`${label}-suggestions`}>${suggestions.map((it) => html`<option key=${it} value=${it} />`)}</datalist>`}
  </${Field}>`;
}

export const lasted = (from, to, now = Date.now()) => (from ? (to ? time(to) : now) - time(from) : null);

export const agentPath = (name) => `/agents/${encodeURIComponent(name)}`;
export const runPath = (id) => `/runs/${encodeURIComponent(id)}`;
export const letterPath = (id) => `/dead-letters/${encodeURIComponent(id)}`;
