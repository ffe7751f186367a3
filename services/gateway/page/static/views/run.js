import { html, useCallback, useState } from "../html.js";
import { may, post, query } from "../api.js";
import { Waiting } from "../approval.js";
import { duration, money, number, plural } from "../format.js";
import { useEvents, useNow, usePoll, useSoon } from "../live.js";
import { act, confirm } from "../notices.js";
import { Heading, Missing, Status, Time, agentPath, ended, lasted, runPath } from "../parts.js";
import { useQuery } from "../router.js";
import { Copy, Line } from "../text.js";
import { merged } from "../timeline/rows.js";
import { Side, StepDetails } from "../timeline/step.js";
import { Timeline } from "../timeline/timeline.js";

const EVERY_MS = 2000;
const SETTLED_MS = 200;

export function Run({ id }) {
  const path = `/api/runs/${encodeURIComponent(id)}`;
  const { data: run, error, reload } = usePoll(path, EVERY_MS, { done: (it) => ended(it.status) });
  if (!run) return html`<${Heading} title="Run" /><${Missing} error=${error} what="the run" />`;
  return html`<${Title} run=${run} reload=${reload} />
    <${RunBody} run=${run} reload=${reload} />`;
}

function Title({ run, reload }) {
  const now = useNow(1000, !ended(run.status));
  async function cancel() {
    if (!(await confirm("Cancel this run?", "It ends with the status cancelled, and so do the runs that it has caused.", "Cancel the run", true))) return;
    await act(() => post(`/api/runs/${encodeURIComponent(run.run_id)}/cancel`), "The run is being cancelled.");
    reload();
  }
  const facts = [
    ["agent", html`<a href=${agentPath(run.agent)}>${run.agent}</a>`],
    ["started", html`<${Time} at=${run.claimed_at} now=${now} />`],
    ["took", duration(lasted(run.claimed_at, run.ended_at, now))],
    ["tokens", run.usage && `${number(run.usage.input_tokens)} in, ${number(run.usage.output_tokens)} out`],
    ["cost", run.cost != null && money(run.cost)],
    ["session", run.session && html`<a href=${`/runs${query({ session: run.session })}`}><bdi>${run.session}</bdi></a>`],
    ["process", !ended(run.status) && run.owner],
    ["died on it", run.attempts > 0 && plural(run.attempts, "process", "processes")],
    ["deadline", run.status === "parked" ? "stands still" : !ended(run.status) && run.deadline_at && html`<${Time} at=${run.deadline_at} now=${now} />`],
    ["caused by", run.parent_run_id && html`<a href=${runPath(run.parent_run_id)}>another run</a>`],
    ["model", run.response?.model],
  ];
  return html`<${Heading} title=${`Run of ${run.agent}`}>
      <a class="button" href=${`/ask${query({ from: run.run_id })}`}>Ask again</a>
      ${run.status === "failed" && html`<a class="button" href=${`/dead-letters${query({ q: run.run_id })}`}>Dead letters</a>`}
      ${!ended(run.status) && may("run") && html`<button type="button" class="danger" onClick=${cancel}>Cancel</button>`}
    </${Heading}>
    <div class="outcome"><${Status} status=${run.status} /><p>${run.outcome}</p></div>
    <dl class="facts">
      ${facts.filter(([, value]) => value).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
      <div><dt>id</dt><dd class="id"><code>${run.run_id}</code><${Copy} text=${run.run_id} what="the id" /></dd></div>
    </dl>
    ${run.detail && html`<p class="detail"><b>For the operator:</b> <${Line} text=${run.detail} /></p>`}`;
}

/** The task, the answer as it comes, and the timeline; also where a task was just asked. */
export function RunBody({ run, reload }) {
  const [{ step = "" }, change] = useQuery();
  const [row, setRow] = useState(null);
  const root = run.root_run_id ?? run.run_id;
  const tree = usePoll(`/api/runs/${encodeURIComponent(run.run_id)}/tree`, EVERY_MS, {
    merge: merged,
    next: (it) => `/api/runs/${encodeURIComponent(run.run_id)}/tree${query({ after: it.cursor })}`,
    done: (it) => [...it.runs.values()].every((one) => ended(one.status)),
    patient: run.status === "sent",
  });
  const soon = useSoon(() => {
    tree.reload();
    reload();
  }, SETTLED_MS);
  const first = run.run_id in Object.fromEntries(tree.data?.runs ?? []) ? run.run_id : root;
  function choose(it) {
    setRow(it);
    change({ step: it.key }, { replace: true });
  }
  return html`
    ${tree.data && html`<${Waiting} approvals=${tree.data.approvals} onDecided=${soon} />`}
    <div class="sides texts">
      <${Side} title="Task" value=${run.message?.content} prose>
        ${run.message?.context && html`<${Side} title="Context" value=${run.message.context} prose />`}
      </${Side}>
      <${Answer} run=${run} onChange=${soon} />
    </div>
    ${tree.data ? html`<${Timeline} tree=${tree.data} root=${first} chosen=${step} onChoose=${choose} split=${row != null} />` : run.status !== "sent" && html`<${Missing} error=${tree.error} what="the timeline" />`}
    ${row && html`<${StepDetails} row=${row} approvals=${tree.data?.approvals ?? []} onDecided=${soon} onClose=${() => { setRow(null); change({ step: "" }, { replace: true }); }} />`}`;
}

/** The answer, or what the model has said of it so far. Redrawn at each piece of text, so that nothing
 *  else is. */
function Answer({ run, onChange }) {
  const [text, onText] = useStream();
  const open = !ended(run.status);
  const source = open && run.task_id && `/api/tasks/${encodeURIComponent(run.task_id)}/events${query({ agent: run.agent })}`;
  useEvents(source, {
    run: onChange,
    step: onChange,
    text: onText,
    restart: ({ turn }) => onText({ turn, text: "", restart: true }),
    response: () => {
      onChange();
      return "end";
    },
  });
  const answer = run.response?.data ?? run.response?.content;
  return html`<${Side} title="Answer" value=${answer ?? (open ? text : "")} live=${open} prose />`;
}

/** The text of the present turn; a later turn, or the same one begun again, replaces it. */
function useStream() {
  const [state, setState] = useState({ turn: 0, text: "" });
  const add = useCallback(
    ({ turn, text, restart }) => setState((old) => (restart || turn !== old.turn ? { turn, text } : { turn, text: old.text + text })),
    [],
  );
  return [state.text, add];
}
