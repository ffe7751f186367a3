// Messages about what an action did, which a screen reader reads out, and questions before it.
import { html, useEffect, useRef } from "./html.js";
import { shared, useShared } from "./state.js";

const SHOWN_MS = 6000;
const notices = shared([]);
const spoken = shared("");
const question = shared(null);
let last = 0;

export function notify(text, kind = "done") {
  last += 1;
  const id = last;
  notices.set([...notices.get(), { id, text, kind }]);
  if (kind === "done") setTimeout(() => dismiss(id), SHOWN_MS);
}

/** Only for screen readers. */
export const announce = (text) => spoken.set(text);
const dismiss = (id) => notices.set(notices.get().filter((it) => it.id !== id));

/** Ask before an action; resolves to whether the answer was yes. */
export const confirm = (title, detail, action, dangerous = false) =>
  new Promise((resolve) => question.set({ title, detail, action, dangerous, resolve }));

/** Run an action, and say what became of it. */
export async function act(work, done) {
  try {
    const answer = await work();
    notify(typeof done === "function" ? done(answer) : done);
    return answer;
  } catch (error) {
    notify(error.message, "failed");
    return null;
  }
}

export function Notices() {
  return html`<div class="notices">
      <div role="status" aria-live="polite">
        ${useShared(notices).map(
          (it) => html`<p key=${it.id} class=${`notice ${it.kind}`}>
            <span>${it.text}</span>
            <button type="button" class="quiet" aria-label="Dismiss" onClick=${() => dismiss(it.id)}>✕</button>
          </p>`,
        )}
      </div>
      <p class="unseen" aria-live="polite">${useShared(spoken)}</p>
    </div>
    <${Question} />`;
}

function Question() {
  const asked = useShared(question);
  const dialog = useRef(null);
  useEffect(() => {
    if (asked) dialog.current.showModal();
  }, [asked]);
  if (!asked) return null;
  function answer(yes) {
    question.set(null);
    asked.resolve(yes);
  }
  return html`<dialog ref=${dialog} aria-labelledby="question" onCancel=${() => answer(false)}>
    <h2 id="question">${asked.title}</h2>
    <p>${asked.detail}</p>
    <div class="actions">
      <button type="button" onClick=${() => answer(false)}>Keep as it is</button>
      <button type="button" class=${asked.dangerous ? "danger" : "main"} onClick=${() => answer(true)}>${asked.action}</button>
    </div>
  </dialog>`;
}
