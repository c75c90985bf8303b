// The table of customers: short addresses, and the columns that this browser remembers.

import { show } from "./messages.js";

const YEAR = 365 * 24 * 3600;

// Fields that are blank say nothing: they stay out of the address.
const filters = document.querySelector("[data-filters]");
filters.addEventListener("submit", () => {
  for (const field of filters.elements) if (field.name && !field.value.trim()) field.disabled = true;
});
addEventListener("pageshow", () => {
  for (const field of filters.elements) field.disabled = false;
});

// What was typed and not shown yet comes along when one sorts.
const shown = new URLSearchParams(new FormData(filters)).toString();
for (const link of document.querySelectorAll("a.sort")) {
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || new URLSearchParams(new FormData(filters)).toString() === shown) return;
    event.preventDefault();
    const sort = filters.elements.sort ?? filters.appendChild(document.createElement("input"));
    sort.type = "hidden";
    sort.name = "sort";
    sort.value = new URL(link.href).searchParams.get("sort");
    filters.requestSubmit();
  });
}

function remember(columns, seconds) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `columns=${columns.join(".")}; path=/customers; max-age=${seconds}; samesite=lax${secure}`;
  location.reload();
}

const choice = document.querySelector("[data-columns]");
choice?.addEventListener("submit", (event) => {
  event.preventDefault();
  const chosen = new FormData(choice).getAll("column");
  if (chosen.length) remember(chosen, YEAR);
  else show("Choose at least one column.", "bad");
});
choice?.querySelector("[data-usual]").addEventListener("click", () => remember([], 0));

// A menu closes when one clicks elsewhere, or presses Escape.
const menus = [...document.querySelectorAll("details.menu")];
document.addEventListener("click", (event) => {
  for (const menu of menus) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of menus.filter((menu) => menu.open)) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
