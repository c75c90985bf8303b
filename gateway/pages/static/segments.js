// One segment: who came and went is fetched when the rest is there, and what people say of it is edited.

import { call, once } from "./api.js";
import { localTimes } from "./app.js";
import { confirm, show, showNext } from "./messages.js";

const LABELS = { name: "Name", description: "Description", owner: "Owner", actions: "What to do" };

async function showMoves(address) {
  const place = document.getElementById("moves");
  place.setAttribute("aria-busy", "true");
  const whole = new URL(address, location);
  whole.searchParams.set("wait", "true"); // the page by itself comes at once, and may lack them
  try {
    const answer = await fetch(whole, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(60_000) });
    const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("moves");
    if (!answer.ok || !found) throw new Error(`${answer.status}`);
    place.replaceChildren(...found.childNodes);
    localTimes(place);
  } catch {
    const text = document.createElement("p");
    text.textContent = "Who came and went cannot be read at the moment. ";
    const link = document.createElement("a");
    link.href = address;
    link.textContent = "Try again";
    text.append(link);
    place.replaceChildren(place.querySelector("h2"), text);
  }
  place.removeAttribute("aria-busy");
}

const moves = document.querySelector("[data-moves]");
if (moves) {
  showMoves(moves.dataset.moves);
  moves.addEventListener("click", (event) => {
    const link = event.target.closest("a[href*='/moves']");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    showMoves(link.href);
  });
}

const print = document.querySelector("[data-print]");
if (print) {
  print.addEventListener("click", () => window.print());
}

document.querySelector("a[href='#edit']")?.addEventListener("click", (event) => {
  event.preventDefault(); // or the browser would take the focus away again
  document.getElementById("edit").open = true;
  document.getElementById("name").focus();
});

const lines = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** What has been typed, as the API takes it: of the fields that differ from what was loaded; null for an empty one. */
function typed(form) {
  const changes = {};
  for (const name of Object.keys(LABELS)) {
    const field = form.elements[name];
    if (field.value === field.defaultValue) continue;
    const list = lines(field.value);
    const value = name === "actions" ? (list.length ? list : null) : field.value.trim();
    changes[name] = value || null;
  }
  return changes;
}

const written = (value) => (Array.isArray(value) ? value.join("; ") : value) || "nothing";
const same = (one, other) => written(one) === written(other);

function clearFaults(form) {
  for (const name of Object.keys(LABELS)) {
    form.elements[name].removeAttribute("aria-invalid");
    document.getElementById(`${name}-fault`).hidden = true;
  }
}

/** Show what is wrong beside its field; returns false where it is about none of them. */
function showFaults(form, problem) {
  const faults = problem.code === "name_taken" ? [{ pointer: "/name", detail: problem.message }] : problem.errors;
  const shown = faults.map(({ pointer, detail }) => {
    const [, name, place] = pointer.split("/");
    if (!(name in LABELS)) return null;
    const text = document.getElementById(`${name}-fault`);
    text.textContent = place ? `Line ${Number(place) + 1} ${detail}.` : `${detail[0].toUpperCase()}${detail.slice(1)}`;
    text.hidden = false;
    form.elements[name].setAttribute("aria-invalid", "true");
    return form.elements[name];
  });
  shown.find(Boolean)?.focus();
  return shown.length > 0 && shown.every(Boolean);
}

/** Somebody else has saved meanwhile: ask only where both have changed the same; resolves to what is known then. */
async function settle(form, changes) {
  const now = (await call("GET", `segments/${encodeURIComponent(form.dataset.segment)}`)).body;
  const loaded = (name) => (name === "actions" ? lines(form.elements[name].defaultValue) : form.elements[name].defaultValue);
  const both = Object.keys(changes).filter((name) => !same(now[name], loaded(name)) && !same(now[name], changes[name]));
  if (both.length) {
    const said = both.map((name) => `${LABELS[name]} is now: ${written(now[name])}. You have typed: ${written(changes[name])}.`);
    const detail = `By ${now.labelled_by ?? "somebody"}. ${said.join(" ")}`;
    const mine = await confirm("Somebody has changed this segment meanwhile", { detail, yes: "Save mine instead" });
    if (!mine) {
      show("Nothing has been saved. What you typed is still here.");
      return undefined;
    }
  }
  return now.labelled_at;
}

async function save(form) {
  clearFaults(form);
  const changes = typed(form);
  if (!Object.keys(changes).length) {
    show("Nothing has changed.");
    return;
  }
  const address = `segments/${encodeURIComponent(form.dataset.segment)}`;
  let known = form.dataset.labelledAt || null;
  for (;;) {
    try {
      await call("PATCH", address, { json: { ...changes, if_labelled_at: known } });
      break;
    } catch (problem) {
      if (problem.code !== "label_changed") {
        if (problem.status !== 401 && problem.errors && showFaults(form, problem)) return;
        throw problem;
      }
      known = await settle(form, changes);
      if (known === undefined) return;
    }
  }
  showNext("Saved.");
  location.assign(location.pathname + location.search);
}

const form = document.querySelector("form[data-segment]");
if (form) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    once(form.querySelector("button.primary"), () => save(form));
  });
  form.addEventListener("reset", () => clearFaults(form));
  form.reset(); // a browser that fills in what was typed before would make it look changed
}
