// The page: its frame around the view that the address names.
import { html, render, useEffect, useRef, useState } from "./html.js";
import { call, me, post } from "./api.js";
import { clockTime, number } from "./format.js";
import { freshness, useNow, usePoll } from "./live.js";
import { Notices } from "./notices.js";
import { address, navigate } from "./router.js";
import { useShared } from "./state.js";
import { Agent, Agents } from "./views/agents.js";
import { Approvals } from "./views/approvals.js";
import { Ask } from "./views/ask.js";
import { DeadLetter, DeadLetters } from "./views/dead_letters.js";
import { Login } from "./views/login.js";
import { Overview } from "./views/overview.js";
import { Run } from "./views/run.js";
import { Runs } from "./views/runs.js";
import { Schedules } from "./views/schedules.js";

const VIEWS = [
  [/^\/$/, Overview],
  [/^\/login$/, Login],
  [/^\/runs$/, Runs],
  [/^\/runs\/([^/]+)$/, Run],
  [/^\/ask$/, Ask],
  [/^\/approvals$/, Approvals],
  [/^\/dead-letters$/, DeadLetters],
  [/^\/dead-letters\/([^/]+)$/, DeadLetter],
  [/^\/schedules$/, Schedules],
  [/^\/agents$/, Agents],
  [/^\/agents\/([^/]+)$/, Agent],
];
const LINKS = [
  ["/", "Overview"],
  ["/runs", "Runs"],
  ["/ask", "Ask"],
  ["/approvals", "Approvals"],
  ["/dead-letters", "Dead letters"],
  ["/schedules", "Schedules"],
  ["/agents", "Agents"],
];
const THEMES = ["auto", "light", "dark"];
const PENDING_MS = 5000;

function Page() {
  const { path } = useShared(address);
  const user = useShared(me);
  const main = useRef(null);
  const first = useRef(true);
  useEffect(() => {
    call("/api/me").then((it) => me.set(it), () => {});
  }, []);
  useEffect(() => {
    if (!first.current) (main.current.querySelector("h1") ?? main.current).focus({ preventScroll: true });
    first.current = false;
  }, [path]);
  const [, found, id] = route(path);
  const login = found === Login;
  return html`
    <a class="skip" href="#main" onClick=${(event) => { event.preventDefault(); main.current.focus(); }}>Skip to the content</a>
    <header class="top">
      <a class="brand" href="/" title=${user && `Hutch ${user.version}`}><${Logo} />Hutch</a>
      ${!login && html`<${Navigation} path=${path} />`}
      <div class="corner">
        ${!login && html`<${Freshness} />`}
        <${Theme} />
        ${user && html`<${Account} user=${user} />`}
      </div>
    </header>
    <main id="main" ref=${main} tabindex="-1">
      ${found ? html`<${found} key=${path} id=${id} />` : html`<h1>There is no such page</h1><p><a href="/">Overview</a></p>`}
    </main>
    <${Notices} />
  `;
}

function route(path) {
  for (const [pattern, view] of VIEWS) {
    const match = pattern.exec(path);
    if (match) return [path, view, match[1] && decodeURIComponent(match[1])];
  }
  return [path, null, null];
}

function Navigation({ path }) {
  const list = useRef(null);
  useEffect(() => {
    // On a narrow screen not all links have room.
    list.current.querySelector("[aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
  }, [path]);
  return html`<nav aria-label="Views"><ul ref=${list}>
    ${LINKS.map(([href, name]) => {
      const here = href === "/" ? path === "/" : path.startsWith(href);
      return html`<li key=${href}><a href=${href} aria-current=${here ? "page" : null}>${name}${href === "/approvals" && html`<${Pending} />`}</a></li>`;
    })}
  </ul></nav>`;
}

/** The number of calls that wait for a decision. */
function Pending() {
  const total = usePoll("/api/approvals?limit=1", PENDING_MS, { aside: true }).data?.total;
  return total > 0 && html` <b class="pending-count" title="wait for a decision">${number(total)}</b>`;
}

/** The one place that says how old what is shown is. */
function Freshness() {
  const { state, at, busy } = useShared(freshness);
  useNow(1000, state === "stale");
  if (!at && state !== "stale") return null;
  const texts = {
    live: ["Live", at && `Up to date at ${clockTime(at)}`],
    complete: ["Complete", "It has ended; nothing changes any more"],
    stale: [busy ? "Reconnecting…" : at ? `Stale since ${clockTime(at)}` : "Not connected", "The gateway does not answer; the page tries again"],
  };
  const [text, title] = texts[state];
  return html`<p class=${`freshness ${state}`} role="status" title=${title}>${text}</p>`;
}

function Theme() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme);
  function choose(event) {
    const chosen = event.target.value;
    document.documentElement.dataset.theme = chosen;
    localStorage.setItem("theme", chosen);
    setTheme(chosen);
    dispatchEvent(new Event("themechange"));
  }
  return html`<select class="theme" aria-label="Theme" value=${theme} onChange=${choose}>
    ${THEMES.map((it) => html`<option key=${it} value=${it} selected=${it === theme}>${it}</option>`)}
  </select>`;
}

function Account({ user }) {
  if (user.open) return html`<span class="account dim" title="The gateway listens on this machine only, and has no keys">no key needed</span>`;
  async function leave() {
    await post("/logout").catch(() => {});
    me.set(null);
    navigate("/login");
  }
  return html`<span class="account" title=${`May: ${user.scopes.join(", ")}`}>${user.name}</span>
    <button type="button" class="quiet" onClick=${leave}>Log out</button>`;
}

const Logo = () => html`<svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
  <rect width="32" height="32" rx="7" class="logo" />
  <path d="M6 14 16 6l10 8v12H6z" class="logo-line" /><circle cx="16" cy="19" r="4" class="logo-dot" />
</svg>`;

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey) return;
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
  const search = document.querySelector("[data-search]");
  if (search) {
    event.preventDefault();
    search.focus();
  }
});

const place = document.getElementById("page");
sessionStorage.removeItem("reloads");
place.replaceChildren();
render(html`<${Page} />`, place);
