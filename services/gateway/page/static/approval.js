// A call that waits for a person's decision: what is asked, and the decision.
import { html, useState } from "./html.js";
import { may, post } from "./api.js";
import { useNow } from "./live.js";
import { act } from "./notices.js";
import { Field, Status, Time, agentPath, runPath } from "./parts.js";
import { Line, Text, Visible, pretty } from "./text.js";

const NOTE_CHARS = 1000;

/** One request. `context`: whether it stands outside of its run, so that the run must be named. */
export function Approval({ approval, onDecided, context = false }) {
  const { id, agent, name, kind, path, state } = approval;
  const pending = state === "pending";
  const now = useNow(1000, pending);
  const title = `approval-${id}`;
  return html`<article class=${`request card ${state}`} aria-labelledby=${title}>
    <div class="request-head">
      <h3 id=${title}><bdi>${agent}</bdi> ${pending ? "wants" : "wanted"} to ${kind === "worker" ? "ask" : "call"} <code class="call"><${Visible} text=${name} /></code></h3>
      <${Status} status=${state} />
    </div>
    <p class="dim path">${path.map((it, index) => html`<span key=${index}>${index > 0 && html`<span aria-label="asks"> → </span>`}<a href=${agentPath(it)}>${it}</a></span>`)}
      ${context && html`<span> · <a href=${runPath(approval.run_id)}>open the run</a></span>`}</p>
    <${Text} text=${pretty(approval.arguments) || "{}"} label=${`Arguments of ${name}`} />
    <dl class="facts">
      <div><dt>asked</dt><dd><${Time} at=${approval.asked_at} now=${now} /></dd></div>
      ${pending && html`<div><dt>expires</dt><dd><${Time} at=${approval.expires_at} now=${now} /></dd></div>`}
      ${approval.decided_at && html`<div><dt>${state}</dt><dd><${Time} at=${approval.decided_at} now=${now} />${approval.decided_by && html` by <bdi>${approval.decided_by}</bdi>`}</dd></div>`}
      ${approval.note && html`<div><dt>note</dt><dd><${Line} text=${approval.note} /></dd></div>`}
      <div><dt>id</dt><dd><code>${id}</code></dd></div>
    </dl>
    ${pending && html`<${Decision} approval=${approval} onDecided=${onDecided} />`}
  </article>`;
}

function Decision({ approval, onDecided }) {
  const [note, setNote] = useState("");
  const [busy, setBusy] = useState(false);
  if (!may("operate")) return html`<p class="dim">Your key may not decide: it lacks the scope operate.</p>`;
  async function decide(decision) {
    setBusy(true);
    await act(
      () => post(`/api/approvals/${encodeURIComponent(approval.id)}`, { decision, note: note.trim() }),
      (it) => `${it.state === "approved" ? "Approved" : "Denied"}: ${approval.name} of ${approval.agent}.`,
    );
    setBusy(false);
    onDecided(); // also after a failure: another person may have decided
  }
  const about = `${approval.name} of ${approval.agent}`;
  return html`<form class="decision" onSubmit=${(event) => event.preventDefault()}>
    <${Field} label="Note" hint="optional; the agent reads that of a denial" wide><input value=${note} maxlength=${NOTE_CHARS} onInput=${(event) => setNote(event.target.value)} /></${Field}>
    <div class="actions">
      <button type="button" class="main" disabled=${busy} aria-label=${`Approve ${about}`} onClick=${() => decide("approve")}>Approve</button>
      <button type="button" class="danger" disabled=${busy} aria-label=${`Deny ${about}`} onClick=${() => decide("deny")}>Deny</button>
    </div>
  </form>`;
}

/** The requests of a tree that wait, at the top of its run. */
export function Waiting({ approvals, onDecided }) {
  const pending = approvals.filter((it) => it.state === "pending");
  if (!pending.length) return null;
  return html`<section class="approvals" aria-labelledby="waiting"><h2 id="waiting">Waits for your approval</h2>
    ${pending.map((it) => html`<${Approval} key=${it.id} approval=${it} onDecided=${onDecided} />`)}
  </section>`;
}
