// Keeps a view up to date, and knows how old it is.
import { useCallback, useEffect, useRef, useState } from "./html.js";
import { call } from "./api.js";
import { shared } from "./state.js";

/** State `live`, `stale` or `complete` (nothing will change), and when the view was last up to date. */
export const freshness = shared({ state: "live", at: null, busy: false });
/** The same of each poll of the view. The view is stale if one of them is, and complete if all are. */
const polls = new Map();

function report(poll, state) {
  polls.set(poll, state);
  const all = [...polls.values()];
  const decisive = ["stale", "live", "complete"].map((name) => all.find((it) => it.state === name)).find(Boolean);
  freshness.set(decisive.state === "stale" ? decisive : { ...decisive, at: state.at });
}

const LONGEST_WAIT_MS = 15_000;
/** Asking again would have the same answer. */
const FINAL = new Set([400, 401, 403, 404, 409, 422]);

export function fresh(state = "live") {
  freshness.set({ state, at: new Date(), busy: false });
}

/** A view that asks for `path` again and again: every `everyMs`, sooner by `reload`, never while hidden.
 *  `merge(old, answer)` makes the new value; `next(old)` is the path to ask for, when that changes. `done`: nothing will change any more.
 *  `patient`: what is not found may still come. `aside`: the view is up to date without it. */
export function usePoll(path, everyMs, { merge, next, done, patient, aside } = {}) {
  const [state, setState] = useState({ path, data: null, error: null });
  const soon = useRef(() => {});
  const options = useRef({});
  options.current = { merge, next, done, patient };
  useEffect(() => {
    if (!path) return undefined;
    const aborted = new AbortController();
    let data = null;
    let timer = null;
    let failures = 0;
    let running = false;
    let again = false;
    const poll = {};
    const show = (state, fields) => {
      if (!aside) report(poll, { state, at: new Date(), busy: false, ...fields });
    };
    setState((old) => ({ path, data: base(old.path) === base(path) ? old.data : null, error: null }));

    const wait = (ms) => {
      clearTimeout(timer);
      timer = setTimeout(ask, ms);
    };
    async function ask() {
      if (document.hidden) return;
      if (running) {
        again = true;
        return;
      }
      running = true;
      again = false;
      const { merge, next, done } = options.current;
      if (failures) show("stale", { at: polls.get(poll)?.at, busy: true });
      try {
        const answer = await call((data && next?.(data)) || path, { signal: aborted.signal });
        if (aborted.signal.aborted) return;
        data = merge ? merge(data, answer) : answer;
        failures = 0;
        const ended = done?.(data) ?? false;
        setState({ path, data, error: null });
        show(ended ? "complete" : "live");
        if (!ended) wait(again ? 50 : everyMs);
      } catch (error) {
        if (aborted.signal.aborted) return;
        setState((old) => ({ ...old, error }));
        if (error.status === 404 && options.current.patient) {
          wait(everyMs);
          return;
        }
        if (FINAL.has(error.status)) {
          show("complete");
          return;
        }
        failures += 1;
        show("stale", { at: polls.get(poll)?.at ?? freshness.get().at });
        wait(Math.min(LONGEST_WAIT_MS, 500 * 2 ** failures));
      } finally {
        running = false;
      }
    }
    const shown = () => !document.hidden && wait(0);
    soon.current = () => {
      again = running; // an answer that has just come would set its own time to wait
      wait(0);
    };
    document.addEventListener("visibilitychange", shown);
    ask();
    return () => {
      polls.delete(poll);
      aborted.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", shown);
    };
  }, [path]);
  const reload = useCallback(() => soon.current(), []);
  const current = state.path === path;
  return { data: base(state.path) === base(path) ? state.data : null, error: current ? state.error : null, reload };
}

/** While other filters are asked for, what was found before stays. */
const base = (path) => path?.split("?")[0];

/** Calls `work` once for several calls within so long. */
export function useSoon(work, ms) {
  const latest = useRef({ timer: null });
  latest.current.work = work;
  return useCallback(() => {
    latest.current.timer ??= setTimeout(() => {
      latest.current.timer = null;
      latest.current.work();
    }, ms);
  }, []);
}

/** Listens to server-sent events while the page is visible. A browser has six connections for all its
 *  tabs, so a hidden page gives its own back. `handlers`: by the event's name, with its JSON. */
export function useEvents(url, handlers) {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    if (!url) return undefined;
    let source = null;
    let timer = null;
    let ended = false;
    function open() {
      if (ended || source || document.hidden) return;
      source = new EventSource(url);
      for (const name of Object.keys(latest.current)) {
        source.addEventListener(name, (event) => {
          if (latest.current[name]?.(JSON.parse(event.data)) === "end") {
            ended = true;
            close();
          }
        });
      }
      source.onerror = () => {
        if (source?.readyState !== EventSource.CLOSED) return;
        close();
        timer = setTimeout(open, 3000);
      };
    }
    function close() {
      clearTimeout(timer);
      source?.close();
      source = null;
    }
    const changed = () => (document.hidden ? close() : open());
    document.addEventListener("visibilitychange", changed);
    open();
    return () => {
      document.removeEventListener("visibilitychange", changed);
      close();
    };
  }, [url]);
}

/** The present time, again every so often. */
export function useNow(everyMs, running = true) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(() => !document.hidden && setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs, running]);
  return now;
}
