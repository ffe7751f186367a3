// Requests to the gateway, and what they answer.
import { shared } from "./state.js";
import { address, navigate } from "./router.js";

export const me = shared(null);
/** Who uses the page: name, scopes, agents; null until it is known. */

class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export async function call(path, { method = "GET", body, headers = {}, signal } = {}) {
  const options = { method, headers: { Accept: "application/json", ...headers }, signal };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The gateway can't be reached.");
  }
  const type = response.headers.get("Content-Type") || "";
  const answer = type.includes("json") ? await response.json() : null;
  if (response.ok) return answer;
  if (response.status === 401 && path !== "/login") toLogin();
  throw new Problem(response.status, sentence(answer?.detail || `HTTP ${response.status}`));
}

export const post = (path, body = {}, headers = {}) =>
  call(path, { method: "POST", body, headers });

export function query(fields) {
  const chosen = Object.entries(fields).filter(([, value]) => value !== "" && value != null);
  const text = new URLSearchParams(chosen).toString();
  return text && `?${text}`;
}

export const may = (scope) => me.get()?.scopes?.includes(scope) ?? false;

function toLogin() {
  me.set(null);
  const { path, search } = address.get();
  if (path !== "/login") navigate(`/login${query({ next: path + search })}`, { replace: true });
}

function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
