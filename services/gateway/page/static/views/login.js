import { html, useState } from "../html.js";
import { call, me, post } from "../api.js";
import { Field, Heading } from "../parts.js";
import { navigate, useQuery } from "../router.js";

export function Login() {
  const [fields] = useQuery();
  const [key, setKey] = useState("");
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  async function enter(event) {
    event.preventDefault();
    setBusy(true);
    setError("");
    try {
      await post("/login", { key: key.trim() });
      me.set(await call("/api/me"));
      const next = fields.next ?? "/";
      navigate(/^\/(?!\/)/.test(next) ? next : "/", { replace: true });
    } catch (problem) {
      setError(problem.message);
      setBusy(false);
    }
  }
  return html`<section class="login card">
    <${Heading} title="Log in" detail="Your operator makes keys: hutch keys add NAME" />
    <form onSubmit=${enter}>
      <${Field} label="API key" wide>
        <input type="password" name="key" autocomplete="current-password" required value=${key}
          placeholder="hk_…" aria-describedby="login-error" aria-invalid=${error ? "true" : "false"}
          onInput=${(event) => setKey(event.target.value)} />
      </${Field}>
      <p id="login-error" class="error" role="alert">${error}</p>
      <button class="main" disabled=${busy}>${busy ? "Checking…" : "Log in"}</button>
    </form>
  </section>`;
}
