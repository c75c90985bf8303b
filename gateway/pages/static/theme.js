// Runs before the page is drawn, so that nobody sees the wrong colours first: the one script that is no module.
(() => {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // storage is switched off: the system's preference holds
  }
})();
