// One customer: editing while others may edit too, deleting, and scoring again. What was typed stays until it is saved.

import { call, explain, once, Problem } from "./api.js";
import { localTimes } from "./app.js";
import { confirm, show, showNext } from "./messages.js";

const TRIES = 3;
const root = document.documentElement;
const head = document.querySelector("[data-customer]");
const address = `customers/${encodeURIComponent(head.dataset.customer)}`;
const form = document.querySelector("[data-form]");
const inputs = form ? [...form.querySelectorAll("input")] : [];
const edit = document.querySelector("[data-edit]");
let revision = head.dataset.revision;
let leaving = false;

const isTyped = (input) => input.validity.badInput || input.value.trim() !== input.defaultValue;

/** The value of a field as the API has it: shares instead of percents, null where it is empty, the text where it is no number. */
function valueOf(input) {
  if (input.validity.badInput) return "no number";
  const text = input.value.trim();
  if (!text) return null;
  return input.dataset.kind === "percent" ? Number((Number(text) / 100).toPrecision(15)) : Number(text);
}

/** A stored value as the form has it. */
function inForm(input, value) {
  if (value === null || value === undefined) return "";
  return String(input.dataset.kind === "percent" ? Number((value * 100).toPrecision(15)) : value);
}

/** What a field says, for people. */
function inWords(input, text) {
  if (text === "") return "missing";
  const number = Number(text);
  if (input.dataset.kind === "percent") return `${number.toLocaleString("en")}%`;
  const currency = input.dataset.kind === "amount" && root.dataset.currency;
  return number.toLocaleString("en", currency ? { style: "currency", currency } : {});
}

function reload(text) {
  leaving = true;
  if (text) showNext(text);
  if (location.hash) history.replaceState(null, "", location.pathname);
  location.reload();
}

// ---- faults beside the fields ----

function clearFaults() {
  for (const input of inputs) {
    input.removeAttribute("aria-invalid");
    document.getElementById(`fault-${input.name}`).textContent = "";
  }
}

function sentence(input, detail) {
  const inPercent = input.dataset.kind === "percent" ? detail.replace(/[\d.]+$/, (bound) => `${Number(bound) * 100}%`) : detail;
  return input.value.trim() === "" && !input.validity.badInput ? "Please fill this in." : `This ${inPercent}.`;
}

/** Say what is wrong beside each field; return whether all of it found a field. */
function showFaults(errors) {
  const placed = errors.map(({ pointer, detail }) => {
    const input = inputs.find((each) => each.name === pointer.replace(/^\//, ""));
    if (!input) return false;
    input.setAttribute("aria-invalid", "true");
    document.getElementById(`fault-${input.name}`).textContent = input.validity.badInput ? "This must be a number." : sentence(input, detail);
    return true;
  });
  form.querySelector("[aria-invalid]")?.focus();
  return placed.length > 0 && placed.every(Boolean);
}

// ---- somebody else was faster ----

/** Lay what is stored now beside what was typed; return whether anything of it differs from what this page has shown. */
function compare(stored) {
  revision = stored.revision;
  let differs = false;
  for (const input of inputs) {
    const now = inForm(input, stored[input.name]);
    if (now === input.defaultValue || (now && input.defaultValue && Number(now) === Number(input.defaultValue))) continue;
    differs = true;
    beside(input, input.defaultValue, now);
  }
  return differs;
}

function beside(input, before, now) {
  const untouched = !isTyped(input);
  input.defaultValue = now; // what saving is measured by from here on
  if (untouched) input.value = now;
  const typed = isTyped(input);
  const note = input.parentElement.querySelector(".meanwhile");
  const words = document.createElement("span");
  words.textContent = `Changed meanwhile from ${inWords(input, before)} to ${inWords(input, now)}. ${typed ? `Your ${inWords(input, input.value.trim())} has not been saved.` : ""}`;
  input.classList.toggle("yours", typed);
  note.replaceChildren(words);
  if (typed) {
    const take = document.createElement("button");
    take.type = "button";
    take.textContent = `Take ${inWords(input, now)}`;
    take.addEventListener("click", () => {
      input.value = now;
      input.classList.remove("yours");
      note.hidden = true;
      input.focus();
    });
    note.append(take);
  }
  note.hidden = false;
}

/** Who made the last change of the data, as the history says it; nobody where it does not. */
async function changedBy() {
  try {
    const { body } = await call("GET", `${address}/history?limit=5`);
    const last = body.items.find(({ type }) => ["customer.updated", "customer.restored", "customer.created"].includes(type));
    return last?.by ?? last?.actor.name ?? "";
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    return ""; // the conflict can be told without
  }
}

async function sayConflict(at) {
  const who = await changedBy();
  const place = document.getElementById("conflict");
  const box = document.createElement("div");
  box.className = "notice warning";
  const title = document.createElement("strong");
  title.textContent = `${who || "Somebody else"} has changed this customer. `;
  const when = document.createElement("time");
  when.dateTime = at;
  box.append(title, "It was saved on ", when, ", and nothing of yours has been lost: what differs is marked beside the fields. Decide, and save again.");
  localTimes(box);
  place.replaceChildren(box);
  box.scrollIntoView({ block: "center" });
}

// ---- saving ----

async function save() {
  for (let tries = 1; ; tries++) {
    const changed = inputs.filter(isTyped);
    if (!changed.length) return show("There is nothing to save: the form says what is stored.");
    const json = Object.fromEntries(changed.map((input) => [input.name, valueOf(input)]));
    try {
      const { body } = await call("PATCH", address, { json, headers: { "If-Match": `"${revision}"` } });
      const segment = body.segment?.id ?? "";
      const followed = segment === head.dataset.segment ? "" : segment ? " The customer has moved to another segment." : " Its segment follows as soon as the model answers.";
      return reload(`Saved.${followed}`);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (problem.status === 404) return show("This customer has been deleted meanwhile. What you typed is still here: restore the customer in another tab, then save again.", "bad");
      if (problem.status === 422 && showFaults(problem.errors)) return undefined;
      if (problem.status !== 412 || tries === TRIES) return explain(problem);
    }
    const { body: stored } = await call("GET", address);
    // A new score makes a new revision too: that is nothing to ask anybody about.
    if (compare(stored)) return sayConflict(stored.updated_at);
  }
}

function open(isOpen) {
  form.hidden = !isOpen;
  for (const shown of document.querySelectorAll("[data-shown]")) shown.hidden = isOpen;
  if (isOpen) inputs[0].focus();
}

if (form) {
  edit.addEventListener("click", (event) => {
    event.preventDefault();
    open(true);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    clearFaults();
    once(event.submitter ?? form.querySelector(".primary"), save);
  });
  form.querySelector("[data-cancel]").addEventListener("click", async () => {
    if (inputs.some(isTyped) && !(await confirm("Leave without saving?", { yes: "Leave", detail: "What you typed is lost then." }))) return;
    form.reset();
    clearFaults();
    open(false);
    edit.focus();
  });
  addEventListener("beforeunload", (event) => {
    if (!leaving && inputs.some(isTyped)) event.preventDefault();
  });
}

// ---- deleting and scoring ----

async function remove(button) {
  const days = Number(button.dataset.days);
  const detail = days ? `It can be restored for ${days} days, from the list of deleted customers.` : "It cannot be restored.";
  if (!(await confirm(`Delete customer ${head.dataset.customer}?`, { yes: "Delete", detail, danger: true }))) return;
  for (let tries = 1; ; tries++) {
    try {
      await call("DELETE", address, { headers: { "If-Match": `"${revision}"` } });
      return reload();
    } catch (problem) {
      if (problem.status !== 412 || tries === TRIES) return explain(problem);
    }
    const { body: stored } = await call("GET", address);
    if (compare(stored)) {
      show("Somebody else has changed this customer meanwhile, so it was not deleted. Load the page again to see it as it is now.", "bad");
      return;
    }
  }
}

const deleting = document.querySelector("[data-delete]");
deleting?.addEventListener("click", () => once(deleting, () => remove(deleting)));

const scoring = document.querySelector("[data-rescore]");
scoring?.addEventListener("click", () =>
  once(scoring, async () => {
    await call("POST", `${address}/segment`);
    reload("Scored.");
  }),
);
