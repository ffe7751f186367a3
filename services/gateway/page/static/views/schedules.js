import { html } from "../html.js";
import { may, post } from "../api.js";
import { useNow, usePoll } from "../live.js";
import { act } from "../notices.js";
import { Empty, Heading, Missing, Status, Time, agentPath, runPath } from "../parts.js";
import { moment } from "../format.js";

export function Schedules() {
  const { data, error, reload } = usePoll("/api/schedules", 5000);
  return html`<${Heading} title="Schedules" detail="When agents are woken" />
    ${data ? html`<${ScheduleTable} rows=${data.schedules} reload=${reload} />` : html`<${Missing} error=${error} what="the schedules" />`}`;
}

export function ScheduleTable({ rows, reload, withAgent = true }) {
  const now = useNow(1000);
  if (!rows.length) {
    return html`<${Empty} title="No schedule."><p>A schedule stands in an agent's file: <code>schedule: [{name: plan, cron: "0 9 * * 1-5", prompt: Plan the day.}]</code></p></${Empty}>`;
  }
  async function start(row) {
    await act(
      () => post(`/api/schedules/${encodeURIComponent(row.agent)}/${encodeURIComponent(row.name)}/run`),
      (it) => `Sent to ${it.agent}.`,
    );
    reload();
  }
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Schedules"><table class="list">
    <thead><tr>${withAgent && html`<th scope="col">Agent</th>`}<th scope="col">Schedule</th><th scope="col">Times</th><th scope="col">Next</th><th scope="col">Last</th><th scope="col"><span class="unseen">Actions</span></th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${`${row.agent}/${row.name}`}>
      ${withAgent && html`<td><a href=${agentPath(row.agent)} class="name">${row.agent}</a></td>`}
      <td>${row.name}</td>
      <td class="nowrap"><code>${row.expression}</code> <span class="dim">${row.timezone}</span></td>
      <td class="nowrap" data-label="next"><${Next} times=${row.next_at} now=${now} /></td>
      <td class="last-cell" data-label="last">${row.last ? html`<${Last} last=${row.last} now=${now} />` : html`<span class="dim">never</span>`}</td>
      <td class="right"><button type="button" disabled=${!may("operate")} aria-label=${`Run now: ${row.agent}'s ${row.name}`} onClick=${() => start(row)}>Run now</button></td>
    </tr>`)}</tbody>
  </table></div>`;
}

function Next({ times, now }) {
  if (!times.length) return html`<span class="dim">never</span>`;
  if (times.length === 1) return html`<${Time} at=${times[0]} now=${now} />`;
  return html`<details class="inline"><summary><${Time} at=${times[0]} now=${now} /></summary>
    <ol>${times.map((it) => html`<li key=${it}>${moment(it)}</li>`)}</ol>
  </details>`;
}

function Last({ last, now }) {
  const outcome = last.status ? html`<${Status} status=${last.status} />` : html`<span>${last.outcome}</span>`;
  return html`<span class="last">${outcome} <${Time} at=${last.nominal_at} now=${now} /> ${last.run_id && html`<a href=${runPath(last.run_id)}>run</a>`}</span>`;
}
