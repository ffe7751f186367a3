// Text from models, tools and clients. It is only ever a text node, and what would be invisible, or
// would reorder what stands around it, is shown as a mark.
import { html, useMemo, useState } from "./html.js";
import { bytes } from "./format.js";
import { announce } from "./notices.js";

const CLIPPED_AT = 20_000;
const MOST_MARKS = 200;
const BLOCK = 20_000;
const ANSI = "\\u001b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\\u0007\\u001b]*(?:\\u0007|\\u001b\\\\)?|[@-Z\\\\-_])?";
const CONTROL = "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]";
const DIRECTION = "[\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]";
const INVISIBLE = "[\\u00ad\\u180e\\u200b\\u2028\\u2029\\u2060-\\u2064\\ufeff\\ufff9-\\ufffb]|[\\u{e0000}-\\u{e007f}]+";
const NAMES = "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US".split(" ");
const HIDDEN = new RegExp(`(?:${ANSI})|${CONTROL}|${DIRECTION}|${INVISIBLE}`, "gu");

function mark(found) {
  if (found[0] === "\u001b") return `ESC${found.slice(1).replace(/[\u0000-\u001f]/g, name)}`;
  if (found.codePointAt(0) >= 0xe0000) return `hidden: ${tags(found)}`;
  return found.codePointAt(0) < 0x20 ? name(found) : `U+${hex(found)}`;
}

const name = (char) => NAMES[char.codePointAt(0)];
const hex = (char) => char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
const tags = (text) => [...text].map((it) => String.fromCodePoint(it.codePointAt(0) - 0xe0000 || 63)).join("");

/** The text in pieces: strings, and marks for characters that can't be seen. */
function pieces(text) {
  const found = [];
  let at = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (match[0] === "\r" && text[match.index + 1] === "\n") continue;
    if (match.index > at) found.push(text.slice(at, match.index));
    found.push({ mark: mark(match[0]) });
    at = match.index + match[0].length;
  }
  if (at < text.length) found.push(text.slice(at));
  return found;
}

/** Marks are elements. Where there are thousands, they are brackets in the text: the browser would take
 *  minutes to lay it out. */
export function Visible({ text }) {
  const parts = useMemo(() => pieces(text ?? ""), [text]);
  if (parts.length > 2 * MOST_MARKS) return parts.map((it) => (typeof it === "string" ? it : `⟦${it.mark}⟧`)).join("");
  return parts.map((it) => (typeof it === "string" ? it : html`<span class="mark" title="invisible character">${it.mark}</span>`));
}

/** One line of a text, for tables. */
export function Line({ text, empty = "–" }) {
  if (!text) return html`<span class="dim">${empty}</span>`;
  return html`<bdi class="line"><${Visible} text=${text.slice(0, 300)} /></bdi>`;
}

/** A long text in blocks of whole lines: the browser lays out only those in view. */
function blocks(text) {
  const found = [];
  for (let at = 0; at < text.length; ) {
    const line = text.indexOf("\n", at + BLOCK);
    const end = line < 0 ? text.length : line + 1;
    found.push(text.slice(at, end));
    at = end;
  }
  return found;
}

/** A whole text, clipped when it is long. */
export function Text({ text, label, truncated = false, whole = null, live = false, prose = false }) {
  const [all, setAll] = useState(false);
  const clipped = !all && text.length > CLIPPED_AT;
  const shown = clipped ? text.slice(0, CLIPPED_AT) : text;
  return html`<div class="text">
    <pre tabindex="0" role="region" aria-label=${label} dir="auto" class=${`${live ? "streaming" : ""} ${prose ? "prose" : ""}`}>${blocks(shown).map((it, index) => html`<span key=${index} class="block"><${Visible} text=${it} /></span>`)}</pre>
    ${clipped && html`<button type="button" class="quiet" onClick=${() => setAll(true)}>Show all (${bytes(text.length)})</button>`}
    ${!clipped && truncated && html`<button type="button" class="quiet" onClick=${whole}>Load the whole text</button>`}
  </div>`;
}

/** JSON with indentation; any other value as its text. */
export function pretty(value) {
  if (value == null) return "";
  if (typeof value === "string") {
    if (!/^\s*[{[]/.test(value) || value.length > 400_000) return value;
    try {
      return JSON.stringify(JSON.parse(value), null, 2);
    } catch {
      return value;
    }
  }
  return JSON.stringify(value, null, 2);
}

export function Copy({ text, what }) {
  const [done, setDone] = useState(false);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      copyBySelection(text); // without HTTPS there is no clipboard API
    }
    setDone(true);
    announce(`Copied ${what}.`);
    setTimeout(() => setDone(false), 1500);
  }
  return html`<button type="button" class="quiet copy" onClick=${copy} aria-label=${`Copy ${what}`}>${done ? "Copied" : "Copy"}</button>`;
}

function copyBySelection(text) {
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
