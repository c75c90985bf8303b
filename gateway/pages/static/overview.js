// The overview: how far the scoring is, who moved between segments, and the sample.

import { call, explain, once } from "./api.js";
import { localTimes } from "./app.js";
import { confirm } from "./messages.js";

const SOON = 2000;
const LATER = 15000;
const MOST_MOVES = 20;
const number = new Intl.NumberFormat("en-GB");

// ---- re-scoring ----

const STATES = {
  idle: ["good", "Every customer is scored by the model in force"],
  running: ["info", "Customers are being scored"],
  standing_still: ["warning", "Scoring stands still"],
};

/** Show how far the scoring is; return whether it goes on. */
function describe(place, scoring) {
  // When the page was made, not everybody was scored by the model in force: it is not done before a worker says so of that one.
  const waits = scoring.state === "idle" && place.dataset.awaited && scoring.model_version !== place.dataset.awaited;
  const state = waits ? "running" : scoring.state;
  const [kind, title] = scoring.workers ? STATES[state] : ["bad", "No worker is running"];
  const light = place.querySelector(".light");
  light.className = `light ${kind}`;
  light.lastChild.textContent = title;
  const detail = place.querySelector("[data-detail]");
  detail.textContent = scoring.reason ?? "";
  const running = state === "running";
  if (running && !waits) {
    const left = scoring.left === null ? "" : `, ${number.format(scoring.left)} left`;
    detail.textContent = `${number.format(scoring.done)} done${left}`;
    if (scoring.eta) {
      const time = document.createElement("time");
      time.dateTime = scoring.eta;
      detail.append(", ready about ", time, ".");
      localTimes(detail);
    }
  }
  const bar = place.querySelector("progress");
  bar.hidden = !running || waits;
  bar.max = scoring.done + (scoring.left ?? 0) || 1;
  bar.value = scoring.done;
  if (place.dataset.rescoring === "running" && !running) {
    const again = document.createElement("a");
    again.href = "";
    again.textContent = "Show the new numbers";
    detail.append(" ", again);
  }
  if (!detail.querySelector("a")) place.dataset.rescoring = state;
  return running;
}

async function follow(place) {
  let wait = place.dataset.rescoring === "running" ? SOON : LATER;
  for (;;) {
    await pause(wait);
    if (document.hidden) continue;
    try {
      const { rescoring } = (await call("GET", "assignments/status")).body;
      wait = describe(place, rescoring) ? SOON : LATER;
    } catch (problem) {
      if (problem.status === 401 || problem.status === 403) return explain(problem);
      place.querySelector("[data-detail]").textContent = `${problem.message} This page asks again.`;
      wait = LATER;
    }
  }
}

// ---- moves between segments ----

function cell(kind, text, className = "") {
  const made = document.createElement(kind);
  made.textContent = text;
  made.className = className;
  return made;
}

function moveTable(items, names) {
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const [text, className] of [["From", ""], ["To", ""], ["Customers", "num"]]) {
    const made = cell("th", text, className);
    made.scope = "col";
    head.append(made);
  }
  const body = table.createTBody();
  for (const move of items.slice(0, MOST_MOVES)) {
    const row = body.insertRow();
    row.append(cell("td", move.from === null ? "new, or without a segment" : (names[move.from] ?? move.from)));
    row.append(cell("td", move.to === null ? "deleted, or without a segment" : (names[move.to] ?? move.to)));
    row.append(cell("td", number.format(move.customers), "num"));
  }
  return table;
}

async function showMoves(place) {
  const names = JSON.parse(place.dataset.names);
  const found = (await call("GET", `segments/transitions?since=${encodeURIComponent(place.dataset.since)}`)).body;
  const people = (count) => (count === 1 ? "1 customer" : `${number.format(count)} customers`);
  const wait = place.querySelector("[data-wait]");
  const moved = found.moved ? people(found.moved) : "Nobody";
  const others = [[found.entered, "came in"], [found.left, "left"]].filter(([count]) => count);
  const said = others.map(([count, what]) => `${people(count)} ${what}`).join(", ");
  wait.textContent = `${moved} moved from one segment to another${said ? `; ${said}` : ""}.`;
  if (found.items.length) place.append(moveTable(found.items, names));
}

function offerMoves(place) {
  const wait = place.querySelector("[data-wait]");
  const look = () =>
    showMoves(place).catch((problem) => {
      if (!problem.status && problem.code === undefined) throw problem;
      wait.textContent = `It cannot be said who moved: ${problem.message}`;
    });
  if ("atOnce" in place.dataset) return look();
  const button = place.querySelector("[data-look]");
  button.addEventListener("click", () => once(button, look));
}

// ---- the sample ----

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Wait until the customers have been counted anew, which the worker does within a second or so. */
async function counted(before) {
  for (let tries = 0; tries < 60; tries += 1) {
    const { as_of: at, state } = (await call("GET", "assignments/status")).body.snapshots;
    if (state === "fresh" && at !== before) return;
    await pause(500);
  }
}

async function loadSample(button) {
  const before = (await call("GET", "assignments/status")).body.snapshots.as_of;
  button.textContent = "Loading the sample …";
  try {
    await call("POST", "sample", { seconds: 300 });
    await counted(before);
    location.reload();
  } finally {
    button.textContent = "Begin with the sample";
  }
}

async function removeSample() {
  const detail = "Those whose values have been changed stay. The others are deleted, and can be restored one by one for some time.";
  if (!(await confirm("Remove the customers of the sample?", { yes: "Remove them", detail, danger: true }))) return;
  const before = (await call("GET", "assignments/status")).body.snapshots.as_of;
  while ((await call("DELETE", "sample", { seconds: 300 })).body.remaining);
  await counted(before);
  location.reload();
}

const scoring = document.querySelector("[data-rescoring]");
if (scoring) follow(scoring);
const moves = document.querySelector("[data-moves]");
if (moves) offerMoves(moves);
const begin = document.querySelector("[data-begin-sample]");
begin?.addEventListener("click", () => once(begin, () => loadSample(begin)));
const remove = document.querySelector("[data-remove-sample]");
remove?.addEventListener("click", () => once(remove, removeSample));
