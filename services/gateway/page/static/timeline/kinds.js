// The kinds of bars: how they are called, and which of two is seen where both would be.
export const KINDS = {
  queued: { label: "queued", what: "sent, not yet claimed by a process" },
  slot: { label: "waits for a slot", what: "claimed; the process computes other runs" },
  model: { label: "model", what: "a model call" },
  tool: { label: "tool", what: "a tool call" },
  worker: { label: "worker", what: "a call to another agent" },
  postponed: { label: "postponed", what: "the model is unavailable, or its limit is used up; a later due time" },
  parked: { label: "parked", what: "given up by its process, until another takes it" },
  approval: { label: "approval", what: "a call waits for a person's decision; no process computes the run" },
  dead: { label: "process dead", what: "from the death of its process until another took the run over" },
  resumed: { label: "resumed", what: "continued after the last finished step" },
};

export const BUSY = new Set(["model", "tool"]);

/** Higher wins where several share a place. */
export const WEIGHT = { queued: 1, slot: 2, parked: 3, worker: 4, model: 5, tool: 6, postponed: 7, approval: 7, dead: 8, resumed: 9 };

export const stepId = (step) => step && `${step.epoch}/${step.turn}/${step.position}`;
