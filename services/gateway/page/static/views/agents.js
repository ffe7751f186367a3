import { html } from "../html.js";
import { may, post, query } from "../api.js";
import { number, plural } from "../format.js";
import { usePoll } from "../live.js";
import { act, confirm } from "../notices.js";
import { Empty, Heading, Missing, agentPath } from "../parts.js";
import { Text, Copy } from "../text.js";
import { RunTable } from "./runs.js";
import { ScheduleTable } from "./schedules.js";

export function Agents() {
  const { data, error, reload } = usePoll("/api/overview", 3000);
  const paused = data?.agents.some((it) => it.paused);
  return html`<${Heading} title="Agents">
      ${data?.agents.length > 0 && may("operate") && html`<button type="button" onClick=${() => hold("all", !paused, reload)}>${paused ? "Unpause all" : "Pause all"}</button>`}
    </${Heading}>
    ${data ? html`<${Table} agents=${data.agents} />` : html`<${Missing} error=${error} what="the agents" />`}`;
}

function Table({ agents }) {
  if (!agents.length) {
    return html`<${Empty} title="No agent yet."><p>An agent is a file in <code>agents/</code>. <code>hutch init</code> makes two to begin with, and <code>hutch up</code> starts them.</p></${Empty}>`;
  }
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Agents"><table class="list">
    <thead><tr><th scope="col">Agent</th><th scope="col" class="grow">Description</th><th scope="col">State</th><th scope="col" class="right">Processes</th><th scope="col" class="right">Queued</th><th scope="col" class="right">Running</th><th scope="col" class="right">Waiting</th></tr></thead>
    <tbody>${agents.map((it) => html`<tr key=${it.name}>
      <td><a class="name" href=${agentPath(it.name)}>${it.name}</a></td>
      <td class="grow"><span class="line">${it.description}</span>
        <span class="tags">${it.workers.map((name) => html`<a class="tag" key=${name} href=${agentPath(name)}>→ ${name}</a>`)}${it.swarm && html`<span class="tag">swarm ${it.swarm}</span>`}${it.schedules > 0 && html`<span class="tag">${plural(it.schedules, "schedule")}</span>`}</span></td>
      <td><${Health} agent=${it} /></td>
      ${["processes", "queued", "running", "waiting"].map((field) => html`<td key=${field} class="right" data-label=${field}>${number(it[field])}</td>`)}
    </tr>`)}</tbody>
  </table></div>`;
}

export function health(agent) {
  if (agent.fault) return ["bad", "✕", "fault"];
  if (agent.paused) return ["warn", "‖", "paused"];
  if (agent.processes === null) return ["calm", "?", "unknown"];
  if (agent.processes === 0) return ["bad", "✕", "no process"];
  if (agent.postponed) return ["warn", "◷", "postponed"];
  return ["good", "✓", agent.running ? "working" : "idle"];
}

function Health({ agent }) {
  const [tone, sign, text] = health(agent);
  return html`<span class=${`status ${tone}`} title=${agent.fault}><span aria-hidden="true">${sign}</span>${text}</span>`;
}

async function hold(name, pausing, reload) {
  const who = name === "all" ? "all agents" : name;
  if (pausing && !(await confirm(`Pause ${who}?`, "New tasks wait in the queue, no run starts and no model is called until you unpause. A call that is under way finishes.", "Pause"))) return;
  await act(() => post(`/api/agents/${encodeURIComponent(name)}/${pausing ? "pause" : "unpause"}`), `${pausing ? "Paused" : "Unpaused"}: ${who}.`);
  reload();
}

export function Agent({ id }) {
  const { data: agent, error, reload } = usePoll(agentApi(id), 3000);
  const runs = usePoll(`/api/runs${query({ agent: id, limit: 10 })}`, 5000).data?.runs;
  if (!agent) return html`<${Heading} title=${id} /><${Missing} error=${error} what="the agent" />`;
  const counts = [
    ["processes", agent.processes], ["queued", agent.queued], ["delayed", agent.delayed], ["due", agent.due],
    ["running", agent.running], ["waiting", agent.waiting], ["parked", agent.parked], ["for approval", agent.approvals], ["postponed", agent.postponed], ["unsent", agent.unsent],
  ];
  return html`<${Heading} title=${agent.name} detail=${agent.description}>
      <a class="button" href=${`/ask${query({ agent: agent.name })}`}>Ask</a>
      ${may("operate") && html`<button type="button" onClick=${() => hold(agent.name, !agent.paused, reload)}>${agent.paused ? "Unpause" : "Pause"}</button>`}
    </${Heading}>
    <div class="outcome"><${Health} agent=${agent} />${agent.fault && html`<p>${agent.fault}</p>`}
      <p class="dim">${agent.model ?? "default model"}${agent.swarm ? `, swarm ${agent.swarm}` : ""}</p></div>
    <dl class="figures">${counts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${number(value)}</dd></div>`)}</dl>
    ${agent.advice.length > 0 && html`<section class="advice" aria-labelledby="advice"><h2 id="advice">Advice</h2><ul>${agent.advice.map((it) => html`<li key=${it}>${it}</li>`)}</ul></section>`}
    <section aria-labelledby="recent"><div class="section-head"><h2 id="recent">Recent runs</h2><a href=${`/runs${query({ agent: agent.name })}`}>All runs</a></div>
      ${runs?.length ? html`<${RunTable} rows=${runs} label="Recent runs" withAgent=${false} />` : html`<p class="dim">${runs ? "No run yet." : "Loading…"}</p>`}</section>
    ${agent.schedules.length > 0 && html`<section aria-labelledby="schedules"><h2 id="schedules">Schedules</h2><${ScheduleTable} rows=${agent.schedules} reload=${reload} withAgent=${false} /></section>`}
    <div class="sides">
      <div class="side"><div class="side-head"><h2>Definition</h2><${Copy} text=${agent.definition} what="the definition" /></div><${Text} text=${agent.definition} label="Definition" /></div>
      <div class="side"><div class="side-head"><h2>Tools and workers</h2></div>
        ${agent.tools.length + agent.workers.length ? html`<dl class="tools">
          ${agent.tools.map((it) => html`<div key=${it.name}><dt><code>${it.name}</code></dt><dd>${it.description}</dd></div>`)}
          ${agent.workers.map((it) => html`<div key=${it}><dt><a href=${agentPath(it)}>${it}</a></dt><dd>worker</dd></div>`)}
        </dl>` : html`<p class="dim">None.</p>`}
      </div>
    </div>`;
}

const agentApi = (name) => `/api/agents/${encodeURIComponent(name)}`;
