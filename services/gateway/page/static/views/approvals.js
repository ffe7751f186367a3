import { html, useEffect, useState } from "../html.js";
import { query } from "../api.js";
import { Approval } from "../approval.js";
import { plural } from "../format.js";
import { usePoll } from "../live.js";
import { Empty, Field, Heading, Missing, Select } from "../parts.js";
import { useQuery } from "../router.js";

const PAGE = 20;
const STATES = [["", "pending"], "approved", "denied", "expired"];

export function Approvals() {
  const [fields, change] = useQuery();
  const { state = "", agent = "", before = "" } = fields;
  const { data, error, reload } = usePoll(`/api/approvals${query({ state: state || "pending", agent, before, limit: PAGE })}`, 3000);
  const [agents, setAgents] = useState([]);
  const rows = data?.approvals ?? [];
  useEffect(() => setAgents((old) => [...new Set([...old, ...rows.map((it) => it.agent)])].sort()), [data]);
  const filter = (changes) => change({ ...changes, before: "" });
  const known = agent && !agents.includes(agent) ? [agent, ...agents] : agents;
  return html`<${Heading} title="Approvals" detail="Calls that wait for a person's decision" />
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Field} label="State"><${Select} value=${state} onChange=${(it) => filter({ state: it })} options=${STATES} /></${Field}>
      <${Field} label="Agent"><${Select} value=${agent} onChange=${(it) => filter({ agent: it })} options=${[["", "all"], ...known]} /></${Field}>
      ${(state || agent) && html`<a class="clear" href="/approvals">Clear filters</a>`}
    </form>
    ${!data ? html`<${Missing} error=${error} what="the approvals" />` : rows.length === 0
      ? html`<${Empty} title=${state || agent ? "No approval matches." : "Nothing waits for your approval."}>${!state && !agent && html`<p>A call of a tool or worker with <code>approval</code> in its agent's file waits here until you decide.</p>`}</${Empty}>`
      : html`<p class="dim" role="status">${plural(data.total, "request")}</p>
        <div class="approvals">${rows.map((it) => html`<${Approval} key=${it.id} approval=${it} onDecided=${reload} context />`)}</div>
        <nav class="pages" aria-label="Pages">
          ${before && html`<a href=${`/approvals${query({ ...fields, before: "" })}`}>← Newest</a>`}
          ${data.next && html`<a href=${`/approvals${query({ ...fields, before: data.next })}`}>Older →</a>`}
        </nav>`}`;
}
