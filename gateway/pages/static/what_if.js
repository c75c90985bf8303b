// What if: asks the model while one types. An answer to what has been changed since is dropped.

import { call, explain } from "./api.js";

const PAUSE = 300;
const MOST_REASONS = 8;
const SVG = "http://www.w3.org/2000/svg";

const form = document.querySelector("[data-values]");
const answer = document.querySelector("[data-answer]");
const reasons = document.querySelector("[data-reasons]");
const inputs = [...form.querySelectorAll("input[data-kind]")];
const currency = document.documentElement.dataset.currency;

let asked = null;
let timer = 0;

function make(kind, text = "", className = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

// ---- the form ----

const isShare = (input) => input.dataset.kind === "frequency";

/** The customer as the API takes it; a field that is empty is null. */
function customer() {
  const entries = inputs.map((input) => {
    const value = input.value === "" ? null : input.valueAsNumber;
    return [input.name, value !== null && isShare(input) ? Number((value / 100).toPrecision(12)) : value];
  });
  return Object.fromEntries(entries);
}

function fault(input, text) {
  document.getElementById(`${input.name}-fault`).textContent = text;
  if (text) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

/** Say beside each field what is wrong with it; returns whether all are right. */
function check() {
  for (const input of inputs) fault(input, input.validity.valid ? "" : input.validationMessage);
  return inputs.every((input) => input.validity.valid);
}

/** Say beside the fields what the API finds wrong; returns what is about none of them. */
function faults(problem) {
  const others = [];
  for (const error of problem.errors) {
    const input = inputs.find(({ name }) => error.pointer === `/${name}`);
    if (input) fault(input, `It ${error.detail}.`);
    else others.push(`${error.pointer} ${error.detail}`);
  }
  return others;
}

/** Mark the fields that differ from what the page began with. */
function markChanged() {
  for (const input of inputs) {
    const isChanged = input.validity.badInput || input.value !== input.defaultValue;
    input.closest(".field").classList.toggle("changed", isChanged);
    input.parentElement.querySelector("[data-back]").hidden = !isChanged;
  }
}

for (const input of inputs) {
  input.parentElement.querySelector("[data-back] button").addEventListener("click", () => {
    input.value = input.defaultValue;
    input.focus();
    ask();
  });
}

// ---- how values are written ----

function money(value) {
  const digits = value === 0 || Math.abs(value) >= 100 ? 0 : 2;
  const style = currency ? { style: "currency", currency } : {};
  return new Intl.NumberFormat("en-GB", { ...style, minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

function written(feature, value) {
  if (value === null) return "missing";
  const kind = inputs.find(({ name }) => name === feature)?.dataset.kind;
  if (kind === "amount") return money(value);
  if (kind === "frequency") return `${Math.round(value * 100)}%`;
  return new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 }).format(value);
}

const labelOf = (feature) => document.querySelector(`label[for="${CSS.escape(feature)}"]`)?.textContent ?? feature;

/** A segment's name with its colour, as the macro of the same name has it. */
function segment({ id, name }) {
  const link = make("a", "", "segment");
  link.href = `/segments/${encodeURIComponent(id)}`;
  link.append(swatch(id), name);
  return link;
}

/** The class with a segment's colour, as the macro of the same name has it. */
function tone(id) {
  const place = Number.parseInt(id.slice(id.lastIndexOf("-") + 1), 10) || 1;
  return `tone-${((place - 1) % 8) + 1}`;
}

function swatch(id) {
  const made = make("span", "", `swatch ${tone(id)}`);
  made.setAttribute("aria-hidden", "true");
  return made;
}

/** One side of the bars: an arrow, the segment's colour and its name. */
function side(before, { id, name }, after = "") {
  const made = make("span", before);
  made.append(swatch(id), ` for ${name}${after}`);
  return made;
}

function bar(share, from, className) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "bar");
  svg.setAttribute("viewBox", "0 0 100 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const [kind, x, width] of [["track", 0, 100], [className, from, share]]) {
    const rect = document.createElementNS(SVG, "rect");
    rect.setAttribute("class", kind);
    rect.setAttribute("x", String(x));
    rect.setAttribute("width", width.toFixed(2));
    rect.setAttribute("height", "10");
    svg.append(rect);
  }
  return svg;
}

// ---- the answer ----

/** "100%" is for what is certain, which nothing here is. */
const percent = (share) => (share > 0.999 ? "more than 99.9%" : `${(share * 100).toFixed(share > 0.99 ? 1 : 0)}%`);

function showAnswer(found) {
  const name = make("p", "", "sure");
  name.append(segment(found.segment));
  const sure = make("p", `${percent(found.confidence)} sure`);
  const parts = [name, sure, bar(found.confidence * 100, 0, "value")];
  if (found.rival) {
    const rival = make("p", found.borderline ? "On the border with " : "Next nearest: ");
    rival.append(segment(found.rival));
    parts.push(rival);
  }
  if (found.imputed.length) {
    const missing = found.imputed.map(labelOf).join(", ");
    parts.push(make("p", `Left out, so that the usual value is taken: ${missing}.`, "hint"));
  }
  if (found.warnings.length) {
    const list = make("ul", "", "hint");
    list.append(...found.warnings.map((warning) => make("li", warning.detail)));
    parts.push(make("p", "Looks odd:", "hint"), list);
  }
  answer.replaceChildren(...parts);
}

function reason({ feature, value, contribution }, most, side) {
  const row = make("div", "", `reason ${tone(side.id)}`);
  row.append(make("span", `${labelOf(feature)}: ${written(feature, value)}`));
  const width = most ? (Math.abs(contribution) / most) * 50 : 0;
  row.append(bar(width, contribution >= 0 ? 50 : 50 - width, contribution >= 0 ? "for" : "against"));
  return row;
}

function whatWouldMoveIt({ changes, sentence }) {
  const button = make("button", "Try it");
  button.type = "button";
  button.addEventListener("click", () => {
    for (const { feature, changed } of changes) {
      const input = inputs.find(({ name }) => name === feature);
      if (input) input.value = String(Number((isShare(input) ? changed * 100 : changed).toPrecision(10)));
    }
    ask();
    answer.closest("section").scrollIntoView({ block: "nearest" });
  });
  return [make("p", sentence), button];
}

function showReasons({ explanation, rival, segment: own }) {
  if (!explanation || !rival) {
    reasons.replaceChildren(make("p", "There is one segment only, so that there is nothing to explain."));
    return;
  }
  const shown = explanation.contributions.filter(({ contribution }) => contribution !== 0).slice(0, MOST_REASONS);
  const most = Math.max(0, ...shown.map(({ contribution }) => Math.abs(contribution)));
  const sides = make("p", "", "sides");
  sides.append(side("← ", rival), side("", own, " →"));
  const parts = [make("p", explanation.sentence), sides, ...shown.map((each) => reason(each, most, each.contribution >= 0 ? own : rival)), make("h3", "What would move it")];
  if (explanation.counterfactual) parts.push(...whatWouldMoveIt(explanation.counterfactual));
  else parts.push(make("p", `No change of one or two of these values alone would bring such a customer to ${rival.name}.`));
  reasons.replaceChildren(...parts);
}

function showTrouble(text) {
  const again = make("button", "Ask again");
  again.type = "button";
  again.addEventListener("click", ask);
  const notice = make("div", text, "notice warning");
  answer.replaceChildren(notice, again);
  noReasons();
}

/** What was said of other values goes, so that nobody takes it for an answer to these. */
function noReasons() {
  reasons.replaceChildren(make("p", "The reasons follow with the answer.", "soft"));
}

async function ask() {
  clearTimeout(timer);
  asked?.abort();
  markChanged();
  if (!check()) {
    answer.replaceChildren(make("p", "Correct the marked values first; then the answer is here.", "soft"));
    answer.removeAttribute("aria-busy");
    noReasons();
    return;
  }
  asked = new AbortController();
  const { signal } = asked;
  answer.setAttribute("aria-busy", "true");
  try {
    const { body } = await call("POST", "predictions?explain=true", { json: customer(), signal, key: null });
    if (signal.aborted) return;
    showAnswer(body);
    showReasons(body);
  } catch (problem) {
    if (signal.aborted) return;
    if (problem.code === undefined) throw problem;
    const others = faults(problem);
    showTrouble(problem.errors.length && !others.length ? "Correct the marked values first." : [problem.message, ...others].join(" "));
    if (problem.status === 401) explain(problem);
  }
  answer.removeAttribute("aria-busy");
}

form.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(ask, PAUSE);
});
form.addEventListener("reset", () => setTimeout(ask));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
ask();
