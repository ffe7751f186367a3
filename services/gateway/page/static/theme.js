// Runs before the first paint, so that the page never shows the wrong theme first.
document.documentElement.dataset.theme = localStorage.getItem("theme") || "auto";

// A new version of the gateway has other addresses; a page that mixes both can't start.
addEventListener(
  "error",
  (event) => {
    if (event.target instanceof HTMLScriptElement) {
      const place = document.getElementById("page");
      if (place) place.textContent = "The page could not be loaded. Reload it.";
    }
  },
  true,
);
