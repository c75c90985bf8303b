// The page of all versions: drift on request, rolling back, and beginning a training.

import { localTimes } from "./app.js";
import { call, leave, once, Problem } from "./api.js";
import { el, number, percent, segment, time, withoutIds } from "./dom.js";
import { LONGEST, longWork } from "./long_work.js";
import { confirm, show } from "./messages.js";
import { JUST_ACTIVATED } from "./rescoring.js";

// ---- drift ----

const VERDICTS = {
  stable: ["Stable", "good", "The stored customers are like those that the model was trained on."],
  watch: ["Watch it", "warning", "Some things about the customers have changed since the training. It is not urgent; keep an eye on it."],
  retrain: ["Train anew", "bad", "The customers are no longer those that the model was trained on. Check where the changed values come from, then train a new version."],
  not_enough_data: ["Too few customers", "", "There are too few customers to tell."],
};
const TIERS = { none: "as in training", detected: "a little, too little to matter", material: "noticeably", severe: "very much" };
const MOST = 5;

const drift = document.querySelector("[data-drift]");
const check = drift?.querySelector("[data-check-drift]");
if (check) {
  longWork({
    button: check,
    cancel: drift.querySelector("[data-cancel]"),
    state: drift.querySelector("[data-state]"),
    place: drift.querySelector("[data-result]"),
    words: "Going over all customers.",
    work: async (signal) => drawn((await call("GET", "models/active/drift", { signal, seconds: LONGEST })).body),
  });
}

function drawn(found) {
  const labels = JSON.parse(drift.dataset.labels);
  const [title, kind, words] = VERDICTS[found.verdict];
  const badge = drift.querySelector("[data-verdict]") ?? drift.querySelector(".head").appendChild(el("span", { "data-verdict": true }));
  badge.className = `badge ${kind}`;
  badge.textContent = title;
  const changed = found.features.filter((each) => each.tier !== "none").slice(0, MOST);
  const rows = changed.map((each) => el("tr", {}, el("th", { scope: "row" }, labels[each.feature] ?? each.feature), el("td", {}, TIERS[each.tier]), el("td", { class: "num desk" }, each.psi.toFixed(3))));
  const head = el("tr", {}, el("th", { scope: "col" }, "About the customers"), el("th", { scope: "col" }, "Has changed"), el("th", { scope: "col", class: "num desk" }, "Index"));
  const when = el("p", { class: "hint" }, `${number(found.rows)} customers, looked at on `, time(found.as_of), ".");
  localTimes(when);
  return [
    el("p", { role: "status" }, words),
    rows.length ? el("table", {}, el("caption", {}, "What has changed most"), el("thead", {}, head), el("tbody", {}, rows)) : found.features.length ? el("p", {}, "Nothing about them has changed by more than chance.") : null,
    found.segment_mix && found.segment_mix.tier !== "none" ? mix(found.segment_mix) : null,
    el("details", {}, el("summary", {}, "In detail"), el("ul", {}, found.remarks.map((remark) => el("li", {}, withoutIds(remark))))),
    when,
  ];
}

function mix({ training, now, names = {} }) {
  const ids = Object.keys(training).sort((a, b) => Math.abs(now[b] - training[b]) - Math.abs(now[a] - training[a]));
  const rows = ids.map((id) => el("tr", {}, el("th", { scope: "row" }, segment({ id, name: names[id] })), el("td", { class: "num" }, percent(training[id])), el("td", { class: "num" }, percent(now[id]))));
  const head = el("tr", {}, el("th", { scope: "col" }, "Segment"), el("th", { scope: "col", class: "num" }, "In training"), el("th", { scope: "col", class: "num" }, "Now"));
  return el("table", {}, el("caption", {}, "How the segments' shares have changed"), el("thead", {}, head), el("tbody", {}, rows));
}

// ---- rolling back ----

const back = document.querySelector("[data-roll-back]");
back?.addEventListener("click", () => once(back, rollBack));

async function rollBack() {
  const { rollBack: target, active } = back.dataset;
  const made = document.querySelector("[data-before] time").textContent;
  const detail = `The version made on ${made} will be in use again. Every customer is then scored anew in the background.`;
  const reason = await confirm("Roll back to the version before?", { yes: "Roll back", detail, label: "Why", danger: true });
  if (!reason) return undefined;
  const now = (await call("GET", "models")).body;
  if (now.active !== active || now.rollback_to !== target) {
    show("Meanwhile somebody else has put another version in use. Load this page again and look before you roll back.", "bad");
    return undefined;
  }
  const done = (await call("POST", "models/rollback", { json: { reason }, seconds: 120 })).body;
  return leave(`/models/${encodeURIComponent(done.version)}${JUST_ACTIVATED}`);
}

// ---- trainings ----

const MEDIA_TYPES = { csv: "text/csv", txt: "text/csv", tsv: "text/tab-separated-values", ndjson: "application/x-ndjson", jsonl: "application/x-ndjson", parquet: "application/vnd.apache.parquet" };

const form = document.querySelector("[data-train]");
if (form) {
  form.addEventListener("change", choose);
  choose();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    once(form.querySelector("[data-start]"), begin);
  });
}

/** Show the fields of what is chosen; those of what is not are not asked for. */
function choose() {
  const chosen = new Set([...form.querySelectorAll("input[type=radio]:checked")].map((input) => input.value));
  for (const part of form.querySelectorAll("[data-for]")) {
    part.hidden = !chosen.has(part.dataset.for);
    for (const input of part.querySelectorAll("input")) input.disabled = part.hidden;
  }
  form.elements.file.required = chosen.has("file");
}

async function begin() {
  const state = form.querySelector("[data-state]");
  const cancel = form.querySelector("[data-cancel]");
  const ending = new AbortController();
  const stop = () => ending.abort();
  cancel.addEventListener("click", stop);
  cancel.hidden = false;
  const file = form.elements.file.disabled ? null : form.elements.file.files[0];
  state.textContent = file ? "The file is being sent." : "The customers are being handed over to the model service.";
  try {
    const type = file && (MEDIA_TYPES[file.name.split(".").pop().toLowerCase()] ?? "text/csv");
    const options = { signal: ending.signal, seconds: LONGEST, ...(file ? { body: file, headers: { "Content-Type": type } } : {}) };
    const training = (await call("POST", `models?${asked(file)}`, options)).body;
    return await leave(`/trainings/${encodeURIComponent(training.id)}`);
  } catch (problem) {
    if (!(problem instanceof Problem) && problem.name !== "AbortError") throw problem;
    state.textContent = problem.name === "AbortError" ? "Given up before the training began." : "";
    throw problem;
  } finally {
    cancel.hidden = true;
    cancel.removeEventListener("click", stop);
  }
}

function asked(file) {
  const { k, k_min: least, k_max: most, note, columns } = form.elements;
  const fields = [k, least, most, note, columns].filter((input) => !input.disabled && input.value.trim());
  return new URLSearchParams([...fields.map((input) => [input.name, input.value.trim()]), ...(file ? [["name", file.name]] : [])]);
}
