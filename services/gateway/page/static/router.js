// Addresses of the page: each view has a path, and its filters are in the query.
import { shared, useShared } from "./state.js";

const here = () => ({ path: location.pathname, search: location.search });

export const address = shared(here());

addEventListener("popstate", () => address.set(here()));

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!link || !plain || event.defaultPrevented || link.hasAttribute("target") || link.hasAttribute("download")) return;
  const href = link.getAttribute("href");
  if (!href.startsWith("/") || href.startsWith("/api/") || href.startsWith("/page/")) return;
  event.preventDefault();
  navigate(href);
});

export function navigate(href, { replace = false } = {}) {
  if (href === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", href);
  const samePath = address.get().path === location.pathname;
  address.set(here());
  if (!samePath) scrollTo(0, 0);
}

/** The fields of the address's query, and a function that changes some of them. */
export function useQuery() {
  const { path, search } = useShared(address);
  const fields = Object.fromEntries(new URLSearchParams(search));
  function change(changes, options) {
    const next = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === "" || value == null) next.delete(name);
      else next.set(name, value);
    }
    const text = next.toString();
    navigate(path + (text && `?${text}`), options);
  }
  return [fields, change];
}
