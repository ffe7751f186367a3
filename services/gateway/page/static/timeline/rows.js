// The rows of a timeline, from the runs of a tree and what is opened.
import { time } from "../format.js";
import { KINDS, stepId } from "./kinds.js";

const SHORT_WAIT_MS = 500;

/** Runs by id, with times in ms; an answer to `after` replaces only the runs that it holds. */
export function merged(old, answer) {
  const runs = new Map(old?.runs ?? []);
  for (const run of answer.runs) runs.set(run.run_id, { ...run, bars: run.bars.map(parsed) });
  return { runs, at: time(answer.at), cursor: answer.cursor, steps: answer.steps_total, approvals: answer.approvals };
}

const parsed = (bar) => ({ ...bar, from: time(bar.from), to: time(bar.to) });

/** All bars, with open ones ending at `now`, and the runs that each run caused. */
export function outline(tree, now) {
  const children = new Map();
  const bars = [];
  let from = Infinity;
  let to = -Infinity;
  const known = new Map();
  for (const run of tree.runs.values()) {
    const ended = run.bars.map((bar) => ({ ...bar, open: bar.to == null, to: bar.to ?? Math.max(now, bar.from) }));
    known.set(run.run_id, ended);
    for (const bar of ended) {
      bars.push(bar);
      from = Math.min(from, bar.from);
      to = Math.max(to, bar.to);
    }
    if (run.parent_run_id && tree.runs.has(run.parent_run_id)) {
      const list = children.get(run.parent_run_id) ?? [];
      children.set(run.parent_run_id, [...list, run]);
    }
  }
  if (from > to) [from, to] = [now, now + 1];
  const roots = [...tree.runs.values()].filter((it) => !it.parent_run_id || !tree.runs.has(it.parent_run_id));
  return { bars, byRun: known, children, roots, from, to };
}

/** A run has a row, and when it is opened, one for each bar that says something; the row of a call to
 *  a worker is the row of the worker's run. */
export function rows(tree, { byRun, children, roots }, opened) {
  const found = [];
  function addRun(run, level, call) {
    const bars = byRun.get(run.run_id);
    const open = opened.has(run.run_id);
    found.push({ key: run.run_id, run, call, level, bars, open, expandable: bars.length > 0 });
    if (!open) return;
    const called = new Set();
    for (const [index, bar] of bars.entries()) {
      if (["queued", "slot"].includes(bar.kind) && bar.to - bar.from < SHORT_WAIT_MS) continue;
      if (bar.kind === "resumed" && bars[index - 1]?.kind === "dead" && bars[index - 1].reason === bar.reason) continue;
      const child = bar.child_run_id && tree.runs.get(bar.child_run_id);
      if (child && !called.has(child.run_id)) {
        called.add(child.run_id);
        addRun(child, level + 1, bar);
      } else {
        const step = stepId(bar.step);
        found.push({ key: `${run.run_id}/${step ?? ""}/${bar.kind}/${index}`, run, bar, step, level: level + 1 });
      }
    }
    for (const child of children.get(run.run_id) ?? []) {
      if (!called.has(child.run_id)) addRun(child, level + 1, null);
    }
  }
  for (const run of roots) addRun(run, 1, null);
  return found;
}

export function barName(bar) {
  if (bar.kind === "model") return bar.name === "turn" || !bar.name ? "model call" : bar.name;
  if (bar.kind === "tool") return bar.name || KINDS.tool.label;
  if (bar.kind === "worker") return bar.name || "worker";
  if (bar.kind === "approval") return `approval of ${bar.name}`;
  if (bar.kind === "dead") return `died, ${bar.reason}`;
  return bar.reason || KINDS[bar.kind].label;
}

/** Whether a call has given no result, because its process died or the run was given up. */
export const interrupted = (bar) => Boolean(bar.step && bar.reason);
