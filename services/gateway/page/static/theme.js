// Runs before the first paint, so that the page never shows the wrong theme first.
document.documentElement.dataset.theme = localStorage.getItem("theme") || "auto";

// A script that does not come, because the network has changed or because the gateway has another
// version meanwhile, is asked for again with the whole page.
const MOST_RELOADS = 3;
const RELOAD_MS = 500;
addEventListener(
  "error",
  (event) => {
    if (!(event.target instanceof HTMLScriptElement)) return;
    const reloads = Number(sessionStorage.getItem("reloads")) + 1;
    sessionStorage.setItem("reloads", reloads);
    if (reloads <= MOST_RELOADS) {
      setTimeout(() => location.reload(), RELOAD_MS * reloads);
    } else {
      const place = document.getElementById("page");
      if (place) place.textContent = "The page could not be loaded. Reload it.";
    }
  },
  true,
);
