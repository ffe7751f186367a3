import { html, useEffect, useRef, useState } from "../html.js";
import { compact, money, number, plural } from "../format.js";
import { useEvents, usePoll, useSoon } from "../live.js";
import { Empty, Heading, Missing } from "../parts.js";
import { Graph } from "../graph.js";

const RELOAD_MS = 1500;
const APART_MS = 250;
const MOST_MOVES = 30;
const CHARTS = [
  ["tasks", "Tasks", number, "per minute"],
  ["model_calls", "Model calls", number, "per minute"],
  ["tokens", "Tokens", compact, "per minute"],
  ["cost", "Cost", money, "USD per minute"],
];

export function Overview() {
  const { data, error, reload } = usePoll("/api/overview", 3000);
  if (!data) return html`<${Heading} title="Overview" /><${Missing} error=${error} what="the overview" />`;
  const processes = data.agents.reduce((sum, it) => sum + (it.processes ?? 0), 0);
  const running = data.agents.reduce((sum, it) => sum + (it.running ?? 0), 0);
  const detail = `${plural(data.agents.length, "agent")}, ${plural(processes, "process", "processes")}, ${number(running)} running · ${
    data.scheduler.processes ? plural(data.scheduler.schedules, "schedule") : "no scheduler"}`;
  return html`<${Heading} title="Overview" detail=${detail}><a class="button main" href="/ask">Ask an agent</a></${Heading}>
    <${Attention} items=${data.attention} />
    <section aria-labelledby="agents"><div class="section-head"><h2 id="agents">Agents</h2><a href="/agents">As a table</a></div>
      ${data.agents.length ? html`<${LiveGraph} data=${data} reload=${reload} />` : html`<${Empty} title="No agent yet."><p><code>hutch init</code> makes two to begin with, and <code>hutch up</code> starts them.</p></${Empty}>`}
    </section>
    <section aria-labelledby="hour"><h2 id="hour">The last hour</h2>${data.minutes.every((it) => !it.tasks && !it.model_calls) && html`<p class="dim">No task. <a href="/ask">Ask an agent</a>, and watch what happens.</p>`}<${Charts} minutes=${data.minutes} /></section>`;
}

function Attention({ items }) {
  return html`<section aria-labelledby="attention"><h2 id="attention" class=${items.length ? "" : "unseen"}>What needs you</h2>
    ${items.length === 0
      ? html`<p class="all-well"><span aria-hidden="true">✓</span> Nothing needs you.</p>`
      : html`<ul class="attention">${items.map((it) => html`<li key=${`${it.kind}/${it.agent}`}><a href=${it.view}>
          <span class=${`count ${["approval", "paused", "postponed", "late", "limit"].includes(it.kind) ? "warn" : "bad"}`}>${number(it.count)}</span>
          <span><b><span class="first">${it.kind.replaceAll(/[_-]/g, " ")}</span>${it.agent ? ` · ${it.agent}` : ""}</b><span class="dim">${it.sentence}</span></span>
        </a></li>`)}</ul>`}
  </section>`;
}

/** Events move over the graph's edges; each also says that its numbers are old. */
function LiveGraph({ data, reload }) {
  const [moves, setMoves] = useState([]);
  const recent = useRef({}); // when a message was last shown on each way
  const soon = useSoon(reload, RELOAD_MS);
  useEvents("/api/events", {
    event: (event) => {
      const move = moveOf(event);
      if (event.name.startsWith("run.")) soon();
      if (!move || document.hidden) return;
      const way = `${move.from} ${move.to} ${move.kind}`;
      if (Date.now() - (recent.current[way] ?? 0) < APART_MS) return;
      recent.current[way] = Date.now();
      setMoves((old) => [...old.slice(-MOST_MOVES), { ...move, id: `${way} ${Date.now()}` }]);
    },
  });
  return html`<${Graph} agents=${data.agents} groups=${data.groups} moves=${moves} />`;
}

function moveOf({ name, agent, detail }) {
  if (name === "worker.asked") return { from: agent, to: detail.worker, kind: "ask" };
  if (name === "worker.answered") return { from: detail.worker, to: agent, kind: detail.status === "ok" ? "answer" : "failure" };
  if (name === "note.heard") return { from: detail.peer, to: agent, kind: "note" };
  return null;
}

/** The chart library is loaded when it is first needed. */
function Charts({ minutes }) {
  const [Chart, setChart] = useState(null);
  useEffect(() => {
    let timer = null;
    const load = () => import("../chart.js").then((it) => setChart(() => it.Chart), () => (timer = setTimeout(load, 2000)));
    load();
    return () => clearTimeout(timer);
  }, []);
  return html`<div class="charts">${CHARTS.map(([field, title, format, unit]) => {
    const known = minutes.filter((it) => it[field] != null);
    const total = known.reduce((sum, it) => sum + it[field], 0);
    const failed = field === "tasks" && minutes.reduce((sum, it) => sum + it.failed, 0);
    return html`<figure key=${field} class="card chart">
      <figcaption><span>${title}</span><b>${known.length ? format(total) : "–"}</b>${failed > 0 && html`<span class="failed">${number(failed)} failed</span>`}<small class="dim">${unit}</small></figcaption>
      ${Chart ? html`<${Chart} minutes=${minutes} field=${field} title=${title} format=${format} />` : html`<div class="plot"></div>`}
    </figure>`;
  })}</div>`;
}
