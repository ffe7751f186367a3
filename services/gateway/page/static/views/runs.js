import { html } from "../html.js";
import { query } from "../api.js";
import { duration, moment, plural } from "../format.js";
import { useNow, usePoll } from "../live.js";
import { Empty, Field, Heading, Missing, Search, Select, Status, Time, agentPath, lasted, runPath } from "../parts.js";
import { useQuery } from "../router.js";
import { Line } from "../text.js";

const STATUSES = ["due", "running", "waiting", "parked", "ok", "partial", "refused", "failed", "timeout", "cancelled"];
const KINDS = ["task", "trigger", "reaction", "tick"];
const PERIODS = [["", "any time"], ["1", "last hour"], ["24", "last day"], ["168", "last week"]];
const HOUR_MS = 3_600_000;

export function Runs() {
  const [fields, change] = useQuery();
  const { q = "", agent = "", status = "", kind = "", session = "", hours = "", before = "" } = fields;
  // Whole minutes, so that the address of the request stays the same between two polls.
  const since = hours && new Date(Math.floor((Date.now() - hours * HOUR_MS) / 60_000) * 60_000).toISOString();
  const path = `/api/runs${query({ q, agent, status, kind, session, since, before, limit: 50 })}`;
  const { data, error } = usePoll(path, before ? 30_000 : 3000);
  const agents = usePoll("/api/overview", 60_000, { aside: true }).data?.agents ?? [];
  const filter = (changes) => change({ ...changes, before: "" });
  const filtered = q || agent || status || kind || session || hours;
  const names = [...new Set([...agents.map((it) => it.name), agent])].filter(Boolean);
  return html`
    <${Heading} title="Runs" detail="Newest first" />
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Search} label="Search" placeholder="id or text" value=${q} onChange=${(it) => filter({ q: it })} />
      <${Field} label="Agent"><${Select} value=${agent} onChange=${(it) => filter({ agent: it })} options=${[["", "all"], ...names]} /></${Field}>
      <${Field} label="Status"><${Select} value=${status} onChange=${(it) => filter({ status: it })} options=${[["", "all"], ...STATUSES]} /></${Field}>
      <${Field} label="Kind"><${Select} value=${kind} onChange=${(it) => filter({ kind: it })} options=${[["", "all"], ...KINDS]} /></${Field}>
      <${Field} label="When"><${Select} value=${hours} onChange=${(it) => filter({ hours: it })} options=${PERIODS} /></${Field}>
      ${session && html`<p class="chip">Session <bdi>${session}</bdi> <button type="button" class="quiet" aria-label="All sessions" onClick=${() => filter({ session: "" })}>✕</button></p>`}
      ${filtered && html`<a class="clear" href="/runs">Clear filters</a>`}
    </form>
    ${data ? html`<${Table} rows=${data.runs} filtered=${filtered || before} />` : html`<${Missing} error=${error} what="the runs" />`}
    ${data?.searched_to && html`<p class="dim" role="status">Searched back to ${moment(data.searched_to)}; “Older” searches further.</p>`}
    ${data && html`<nav class="pages" aria-label="Pages">
      ${before && html`<a href=${`/runs${query({ ...fields, before: "" })}`}>← Newest</a>`}
      ${data.next && html`<a href=${`/runs${query({ ...fields, before: data.next })}`}>Older →</a>`}
    </nav>`}`;
}

function Table({ rows, filtered }) {
  if (!rows.length) {
    return html`<${Empty} title=${filtered ? "No run matches." : "No run yet."}>
      ${!filtered && html`<p><a href="/ask">Ask an agent</a> and watch the first one.</p>`}
    </${Empty}>`;
  }
  return html`<${RunTable} rows=${rows} label="Runs" />`;
}

/** Also used where an agent's runs are shown. */
export function RunTable({ rows, label, withAgent = true }) {
  const now = useNow(1000);
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}><table class="list">
    <thead><tr><th scope="col">Status</th>${withAgent && html`<th scope="col">Agent</th>`}<th scope="col" class="grow">Task</th><th scope="col">Started</th><th scope="col" class="right">Took</th></tr></thead>
    <tbody>${rows.map((it) => html`<${Row} key=${it.run_id} run=${it} now=${now} withAgent=${withAgent} />`)}</tbody>
  </table></div>`;
}

function Row({ run, now, withAgent }) {
  const took = lasted(run.claimed_at, run.ended_at, now);
  return html`<tr>
    <td><${Status} status=${run.status} /></td>
    ${withAgent && html`<td><a href=${agentPath(run.agent)} class="name">${run.agent}</a></td>`}
    <td class="grow"><div class="row-text"><a class="row-link" href=${runPath(run.run_id)}><${Line} text=${run.text} empty="(no text)" /></a>
      <span class="tags">
        ${run.kind !== "task" && html`<span class="tag">${run.kind}</span>`}
        ${run.parent_id && html`<span class="tag">by an agent</span>`}
        ${run.attempts > 0 && html`<span class="tag warn">${plural(run.attempts, "process", "processes")} died</span>`}
        ${run.priority === "background" && html`<span class="tag">background</span>`}
        ${run.session && html`<a class="tag" href=${`/runs${query({ session: run.session })}`}>session <bdi>${run.session}</bdi></a>`}
      </span></div></td>
    <td class="nowrap">${run.claimed_at ? html`<${Time} at=${run.claimed_at} now=${now} />` : html`<span class="dim">due <${Time} at=${run.due_at} now=${now} /></span>`}</td>
    <td class="right nowrap" data-label="took">${duration(took)}</td>
  </tr>`;
}
