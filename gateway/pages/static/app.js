// What every page has: times in the reader's zone, the switch of colours, and forms that are sent once.

import { show, showKept } from "./messages.js";

const SHOWN = {
  minute: { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" },
  day: { day: "numeric", month: "short", year: "numeric" },
  // Of the axis of a chart:
  tick: { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" },
  tick_day: { day: "numeric", month: "short" },
};

export function localTimes(within = document) {
  for (const time of within.querySelectorAll("time[datetime], text[data-at]")) {
    const at = new Date(time.dateTime ?? time.dataset.at);
    if (Number.isNaN(at.valueOf())) continue;
    time.title = at.toISOString();
    time.textContent = at.toLocaleString("en-GB", SHOWN[time.dataset.show] ?? SHOWN.minute);
  }
}

function switchTheme() {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = root.dataset.theme ?? (dark ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    show("Your browser does not keep this choice.", "info");
  }
}

localTimes();
showKept();
document.querySelector("[data-theme-switch]")?.addEventListener("click", switchTheme);

// A form that loads another page is sent once, however often its button is pressed.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
