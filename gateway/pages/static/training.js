// A training as it goes on: its steps, its log, and cancelling it. When it has ended the page is loaded again.

import { call, once } from "./api.js";
import { number } from "./dom.js";
import { confirm, show } from "./messages.js";

const EVERY = 1000; // milliseconds
const LIVES = ["queued", "running"];

const card = document.querySelector("[data-training]");
const words = card.querySelector("[data-words]");
const log = document.querySelector("[data-log]");
const address = `trainings/${encodeURIComponent(card.dataset.training)}`;

follow();
const cancel = card.querySelector("[data-cancel]");
cancel?.addEventListener("click", () => once(cancel, stop));

async function stop() {
  if (!(await confirm("Cancel the training?", { yes: "Cancel the training", detail: "What it has done so far is lost; the version in use is not touched.", danger: true }))) return;
  await call("POST", `${address}/cancel`);
  show("It stops within a second.");
}

async function follow() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, EVERY));
    if (document.hidden) continue;
    try {
      const [training, said] = await Promise.all([call("GET", address), call("GET", `${address}/log`, { headers: { Accept: "text/plain" } })]);
      write(said.body);
      if (!LIVES.includes(training.body.status)) return void location.reload();
      if (training.body.status === "running") document.querySelector("[data-badge] .badge").textContent = "Running";
      if (training.body.status === "running") draw(training.body.progress);
    } catch (problem) {
      words.textContent = `It cannot be said how far it is: ${problem.message} The training goes on; this page tries again.`;
      if ([401, 403, 404].includes(problem.status)) return;
    }
  }
}

function draw({ phase, done, total }) {
  const bar = card.querySelector("progress");
  bar.max = Math.max(1, total);
  bar.value = done;
  words.textContent = total ? `${number(done)} of ${number(total)} calculations are done.` : "It has not begun to calculate yet.";
  const steps = [...card.querySelectorAll("[data-phase]")];
  const at = steps.findIndex((step) => phase.startsWith(step.dataset.phase));
  if (at < 0) return;
  steps.forEach((step, place) => {
    step.className = place < at ? "done" : place === at ? "now" : "ahead";
    if (place === at) step.setAttribute("aria-current", "step");
    else step.removeAttribute("aria-current");
  });
}

/** Write the log; who reads its end stays there. */
function write(text) {
  if (log.textContent === text) return;
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  log.textContent = text;
  if (atEnd) log.scrollTop = log.scrollHeight;
}
