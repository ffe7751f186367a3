import { html, useEffect, useRef, useState } from "../html.js";
import { call, may, post, query } from "../api.js";
import { usePoll } from "../live.js";
import { act } from "../notices.js";
import { Field, Heading, Missing, Select, Status, ended, runPath } from "../parts.js";
import { useQuery } from "../router.js";
import { RunBody } from "./run.js";

const KINDS = [
  ["task", "Task: one answer"],
  ["trigger", "Trigger: wake the agent"],
  ["broadcast", "Broadcast to a swarm"],
];
const EMPTY = { kind: "task", agent: "", group: "", content: "", context: "", session: "", model_calls: "", tokens: "", cost: "", timeout: "", priority: "", not_before: "" };

export function Ask() {
  const [fields, change] = useQuery();
  const overview = usePoll("/api/overview", 30_000, { aside: true }).data;
  const agents = (overview?.agents ?? []).map((it) => it.name);
  const groups = (overview?.groups ?? []).map((it) => it.name);
  return html`<${Heading} title="Ask" detail="Send a message, and watch what it causes." />
    <${Form} agents=${agents} groups=${groups} from=${fields.from} agent=${fields.agent}
      onSent=${(sent) => change({ run: sent.run_id, task: sent.id, agent: sent.agent, from: "", step: "" })} />
    ${fields.run && html`<${Asked} key=${fields.run} id=${fields.run} task=${fields.task} agent=${fields.agent} />`}`;
}

function Form({ agents, groups, from, agent, onSent }) {
  const [form, setForm] = useState({ ...EMPTY, agent: agent ?? "" });
  const [busy, setBusy] = useState(false);
  const key = useRef(null); // of this message: sent again after a failure, it is the same task
  const set = (changes) => {
    key.current = null;
    setForm((old) => ({ ...old, ...changes }));
  };
  const bind = (name) => ({ value: form[name], onInput: (event) => set({ [name]: event.target.value }) });
  useEffect(() => {
    if (from) prefill(from).then(set, () => {});
  }, [from]);
  const chosen = form.agent || agents[0] || "";
  const group = form.group || groups[0] || "";
  async function send(event) {
    event.preventDefault();
    setBusy(true);
    key.current ??= newKey();
    const sent = await act(() => request({ ...form, agent: chosen, group }, key.current), (it) => (form.kind === "broadcast" ? "Sent to the swarm." : `Sent to ${it.agent ?? chosen}.`));
    setBusy(false);
    if (sent && form.kind !== "broadcast") onSent(sent);
    if (sent) key.current = null;
  }
  const submit = (event) => (event.ctrlKey || event.metaKey) && event.key === "Enter" && event.target.form.requestSubmit();
  return html`<form class="ask card" onSubmit=${send}>
    <div class="filters">
      <${Field} label="Message"><${Select} value=${form.kind} onChange=${(it) => set({ kind: it })} options=${KINDS.filter(([it]) => it !== "broadcast" || groups.length)} /></${Field}>
      ${form.kind === "broadcast"
        ? html`<${Field} label="Swarm"><${Select} value=${group} onChange=${(it) => set({ group: it })} options=${groups} /></${Field}>`
        : html`<${Field} label="Agent"><${Select} value=${chosen} onChange=${(it) => set({ agent: it })} options=${agents.includes(chosen) || !chosen ? agents : [chosen, ...agents]} required /></${Field}>
          <${Field} label="Session" hint="optional"><input ...${bind("session")} maxlength="128" spellcheck=${false} placeholder="a conversation's id" /></${Field}>`}
      <${Earlier} onChoose=${(id) => prefill(id).then(set, () => {})} />
    </div>
    <${Field} label=${form.kind === "task" ? "What should be done" : "Text"} wide>
      <textarea rows="3" required=${form.kind !== "trigger"} onKeyDown=${submit} ...${bind("content")}></textarea>
    </${Field}>
    ${form.kind === "task" && html`<details><summary>Budget, context, time</summary>
      <div class="filters">
        <${Field} label="Model calls" hint="at most"><input type="number" min="1" step="1" ...${bind("model_calls")} /></${Field}>
        <${Field} label="Tokens" hint="at most"><input type="number" min="1" step="1" ...${bind("tokens")} /></${Field}>
        <${Field} label="Cost in USD" hint="at most"><input type="number" min="0" step="any" ...${bind("cost")} /></${Field}>
        <${Field} label="Timeout"><input placeholder="10m" pattern="[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)" title="A number and s, m, h or d" ...${bind("timeout")} /></${Field}>
        <${Field} label="Priority"><${Select} value=${form.priority} onChange=${(it) => set({ priority: it })} options=${[["", "as usual"], "interactive", "background"]} /></${Field}>
        <${Field} label="Not before"><input type="datetime-local" ...${bind("not_before")} /></${Field}>
      </div>
      <${Field} label="Context" hint="what the agent should know" wide><textarea rows="3" ...${bind("context")}></textarea></${Field}>
    </details>`}
    <div class="actions">
      <button class="main" disabled=${busy || !may("run")}>${busy ? "Sending…" : "Send"}</button>
      <span class="dim">${may("run") ? "or Ctrl+Enter" : "Your key may not send messages: it lacks the scope run."}</span>
    </div>
  </form>`;
}

/** Messages that were sent lately; the form is filled with the chosen one. */
function Earlier({ onChoose }) {
  const runs = usePoll("/api/runs?limit=30", 60_000, { aside: true }).data?.runs ?? [];
  const sent = runs.filter((it) => !it.parent_id && it.text).slice(0, 10);
  if (!sent.length) return null;
  const options = sent.map((it) => [it.run_id, `${it.agent}: ${it.text.slice(0, 60)}`]);
  return html`<${Field} label="Begin with"><${Select} value="" onChange=${(id) => id && onChoose(id)} options=${[["", "an earlier message…"], ...options]} /></${Field}>`;
}

/** The form's fields as an earlier run had them. */
async function prefill(id) {
  const run = await call(`/api/runs/${encodeURIComponent(id)}`);
  const kind = run.kind === "trigger" ? "trigger" : "task";
  return { kind, agent: run.agent, content: run.message?.content ?? "", context: run.message?.context ?? "", session: run.session ?? "", priority: "" };
}

/** `crypto.randomUUID` exists only on HTTPS and on this machine. */
function newKey() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return `page-${[...random].map((it) => it.toString(16).padStart(2, "0")).join("")}`;
}

function request(form, key) {
  const headers = { "Idempotency-Key": key };
  const filled = (names) => Object.fromEntries(names.filter((it) => form[it] !== "").map((it) => [it, form[it]]));
  if (form.kind === "broadcast") return post(`/api/swarms/${encodeURIComponent(form.group)}/messages`, filled(["content"]), headers);
  if (form.kind === "trigger") return post("/api/triggers", filled(["agent", "content", "session"]), headers);
  const body = filled(["agent", "content", "context", "session", "timeout", "priority"]);
  const limits = ["model_calls", "tokens", "cost"].filter((it) => form[it] !== "").map((it) => [it, Number(form[it])]);
  if (limits.length) body.budget = Object.fromEntries(limits);
  if (form.not_before) body.not_before = new Date(form.not_before).toISOString();
  return post("/api/tasks", { ...body, stream: true, wait: 0 }, headers);
}

/** What was sent. Until an agent has taken it, it is only in the agent's mailbox, and there is no run;
 *  its events can be listened to already. */
function Asked({ id, task, agent }) {
  const { data, error, reload } = usePoll(`/api/runs/${encodeURIComponent(id)}`, 1000, { done: (it) => ended(it.status), patient: true });
  const place = useRef(null);
  useEffect(() => place.current?.scrollIntoView({ block: "nearest" }), [id, Boolean(data?.response)]);
  const run = data ?? { run_id: id, task_id: task, agent, status: "sent", outcome: `It waits for a process of ${agent}.` };
  if (!data && error && error.status !== 404) return html`<${Missing} error=${error} what="the run" />`;
  return html`<section aria-label="What it caused" ref=${place}>
    <div class="outcome"><${Status} status=${run.status} /><p role="status">${run.outcome}</p>${data && html`<a href=${runPath(id)}>Open the run</a>`}</div>
    <${RunBody} run=${run} reload=${reload} />
  </section>`;
}
