import { html, useEffect, useState } from "../html.js";
import { call, may, post, query } from "../api.js";
import { number, plural } from "../format.js";
import { fresh, useNow, usePoll } from "../live.js";
import { act, confirm, notify } from "../notices.js";
import { Empty, Field, Heading, Missing, Search, Select, Time, agentPath, letterPath, runPath } from "../parts.js";
import { navigate, useQuery } from "../router.js";
import { Line, Visible } from "../text.js";
import { Side } from "../timeline/step.js";

const PAGE = 50;

export function DeadLetters() {
  const [fields, change] = useQuery();
  const { q = "", reason = "", agent = "", before = "" } = fields;
  const { data, error, reload } = usePoll(`/api/dead-letters${query({ q, reason, agent, before, limit: PAGE })}`, 5000);
  const [chosen, setChosen] = useState(new Set());
  const [seen, setSeen] = useState({ reasons: [], agents: [] });
  const rows = data?.dead_letters ?? [];
  useEffect(() => {
    const ids = new Set(rows.map((it) => it.id));
    setChosen((old) => new Set([...old].filter((it) => ids.has(it))));
    setSeen((old) => ({ reasons: union(old.reasons, rows.map((it) => it.reason)), agents: union(old.agents, rows.map((it) => it.agent)) }));
  }, [data]);
  const filter = (changes) => change({ ...changes, before: "" });
  const filtered = Boolean(q || reason || agent);
  // By ids, or until the newest of the list: what arrives while the question is open is left alone.
  // A search by text has no counterpart for actions in bulk.
  const byIds = chosen.size || q || !data?.newest || data.total <= rows.length;
  const ids = chosen.size ? [...chosen] : rows.map((it) => it.id);
  const selection = byIds ? { ids } : { reason: reason || undefined, agent: agent || undefined, until: data.newest };
  const count = byIds ? ids.length : data.total;
  return html`<${Heading} title="Dead letters" detail="Messages and runs that could not be processed" />
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <${Search} label="Search" placeholder="id or text" value=${q} onChange=${(it) => filter({ q: it })} />
      <${Search} label="Reason" placeholder="a part of it" value=${reason} suggestions=${seen.reasons} onChange=${(it) => filter({ reason: it })} />
      <${Field} label="Agent"><${Select} value=${agent} onChange=${(it) => filter({ agent: it })} options=${[["", "all"], ...union(seen.agents, [agent])]} /></${Field}>
      ${filtered && html`<a class="clear" href="/dead-letters">Clear filters</a>`}
    </form>
    ${!data ? html`<${Missing} error=${error} what="the dead letters" />` : rows.length === 0
      ? html`<${Empty} title=${filtered ? "No dead letter matches." : "No dead letters."}>${!filtered && html`<p>Whatever can't be processed is kept here, with its reason, until you replay or drop it.</p>`}</${Empty}>`
      : html`<div class="bulk" role="group" aria-label="Actions">
          <span>${chosen.size ? `${plural(chosen.size, "letter")} chosen` : `${plural(data.total ?? rows.length, "letter")}${filtered ? " match" : ""}`}</span>
          ${may("operate") && html`<button type="button" onClick=${() => settle("replay", selection, count, reload)}>Replay ${chosen.size ? "chosen" : "all"}</button>
          <button type="button" class="danger" onClick=${() => settle("drop", selection, count, reload)}>Drop ${chosen.size ? "chosen" : "all"}</button>`}
        </div>
        <${Table} rows=${rows} chosen=${chosen} setChosen=${setChosen} />
        <nav class="pages" aria-label="Pages">
          ${before && html`<a href=${`/dead-letters${query({ ...fields, before: "" })}`}>← Newest</a>`}
          ${data.next && html`<a href=${`/dead-letters${query({ ...fields, before: data.next })}`}>Older →</a>`}
        </nav>`}`;
}

const union = (known, more) => [...new Set([...known, ...more])].filter(Boolean).sort();

function Table({ rows, chosen, setChosen }) {
  const now = useNow(1000);
  const toggle = (id) => setChosen((old) => {
    const next = new Set(old);
    if (!next.delete(id)) next.add(id);
    return next;
  });
  const all = rows.every((it) => chosen.has(it.id));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Dead letters"><table class="list">
    <thead><tr><th scope="col"><input type="checkbox" aria-label="Choose all that are shown" checked=${all} onChange=${() => setChosen(new Set(all ? [] : rows.map((it) => it.id)))} /></th>
      <th scope="col">Agent</th><th scope="col" class="grow">Message and reason</th><th scope="col">Kind</th><th scope="col">Since</th></tr></thead>
    <tbody>${rows.map((it) => html`<tr key=${it.id}>
      <td><input type="checkbox" aria-label=${`Choose ${it.id}`} checked=${chosen.has(it.id)} onChange=${() => toggle(it.id)} /></td>
      <td>${it.agent ? html`<a class="name" href=${agentPath(it.agent)}>${it.agent}</a>` : html`<span class="dim">–</span>`}</td>
      <td class="grow"><a class="row-link" href=${letterPath(it.id)}><${Line} text=${it.text} empty="(no text)" /></a><p class="reason"><${Line} text=${it.reason} /></p></td>
      <td class="nowrap dim">${it.run_id ? "run" : it.kind || "unreadable"}</td>
      <td class="nowrap"><${Time} at=${it.at} now=${now} /></td>
    </tr>`)}</tbody>
  </table></div>`;
}

const DETAILS = {
  replay: "A failed run continues after its last finished step; a message goes to its queue again.",
  drop: "They are deleted, and can't be brought back.",
};

/** Replay or drop, after a question. Returns whether all succeeded. */
async function settle(action, selection, count, reload) {
  const verb = action === "replay" ? "Replay" : "Drop";
  if (!(await confirm(`${verb} ${plural(count, "dead letter")}?`, DETAILS[action], verb, action === "drop"))) return false;
  const done = await act(() => post(`/api/dead-letters/${action}`, selection), (it) => `${number(it.done)} ${action === "replay" ? "replayed" : "dropped"}.`);
  if (done?.failed?.length) notify(`${number(done.failed.length)} failed: ${done.failed[0].error}`, "failed");
  reload();
  return Boolean(done) && !done.failed?.length;
}

export function DeadLetter({ id }) {
  const [state, setState] = useState({});
  const [result, setResult] = useState("");
  useEffect(() => {
    call(`/api/dead-letters/${encodeURIComponent(id)}`).then((letter) => { setState({ letter }); fresh("complete"); }, (error) => setState({ error }));
  }, [id]);
  const { letter, error } = state;
  if (!letter) return html`<${Heading} title="Dead letter" /><${Missing} error=${error} what="the dead letter" />`;
  async function apply(action, extra = {}) {
    const kind = action === "drop" ? "drop" : "replay";
    if (await settle(kind, { ids: [id], ...extra }, 1, () => {})) navigate(letter.run_id && kind === "replay" ? runPath(letter.run_id) : "/dead-letters");
  }
  const doing = {
    replay: ["Replay", () => apply("replay")],
    drop: ["Drop", () => apply("drop")],
    tool_again: ["Call the tool again", () => apply("replay", { tool_again: true })],
    tool_done: ["The tool had acted", () => apply("replay", { tool_done: result })],
  };
  return html`<${Heading} title="Dead letter" />
    <p class="detail"><${Visible} text=${letter.reason} /></p>
    ${letter.text && html`<div class="outcome"><p><${Line} text=${letter.text} /></p></div>`}
    <dl class="facts">
      <div><dt>since</dt><dd><${Time} at=${letter.at} /></dd></div>
      ${letter.agent && html`<div><dt>agent</dt><dd><a href=${agentPath(letter.agent)}>${letter.agent}</a></dd></div>`}
      ${letter.run_id && html`<div><dt>run</dt><dd><a href=${runPath(letter.run_id)}>open the run</a></dd></div>`}
      ${letter.task_id && html`<div><dt>task</dt><dd><code>${letter.task_id}</code></dd></div>`}
      ${letter.kind && html`<div><dt>kind</dt><dd>${letter.kind}</dd></div>`}
    </dl>
    ${may("operate") && letter.remedies?.length > 0 && html`<section class="card remedies" aria-labelledby="remedies"><h2 id="remedies">What you can do</h2>
      <ul>${letter.remedies.map((it) => html`<li key=${it.action}>
        ${it.action === "tool_done" && html`<${Field} label="What the tool returned"><input value=${result} onInput=${(event) => setResult(event.target.value)} /></${Field}>`}
        ${doing[it.action] && html`<button type="button" class=${it.action === "drop" ? "danger" : ""} onClick=${doing[it.action][1]}>${doing[it.action][0]}</button>`}
        <span>${it.sentence}</span></li>`)}</ul></section>`}
    <div class="sides">
      <${Side} title="Message" value=${letter.message} />
      <${Side} title="Headers" value=${letter.headers} />
    </div>`;
}
