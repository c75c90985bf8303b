// How far the customers are scored by the version in use: follows it until it is done.

import { call } from "./api.js";
import { number } from "./dom.js";

const EVERY = 2000; // milliseconds
export const JUST_ACTIVATED = "#activated";

const card = document.querySelector("[data-rescoring]");
if (card) follow(card, location.hash === JUST_ACTIVATED);

async function follow(card, expected) {
  const words = card.querySelector("[data-words]");
  const bar = card.querySelector("progress");
  if (expected) {
    card.hidden = false;
    words.textContent = "The background worker begins within seconds.";
    bar.removeAttribute("value");
  }
  while (!card.hidden) {
    await new Promise((resolve) => setTimeout(resolve, EVERY));
    if (document.hidden) continue;
    try {
      const status = (await call("GET", "assignments/status")).body.rescoring;
      if (status.model_version !== card.dataset.rescoring) continue; // not noticed yet
      bar.max = Math.max(1, status.done + (status.left ?? 0));
      bar.value = status.state === "idle" ? bar.max : status.done;
      words.textContent = said(status);
      if (status.state === "idle") return void end(card);
    } catch (problem) {
      words.textContent = `It cannot be said how far it is: ${problem.message}`;
      if (problem.status === 401 || problem.status === 403) return;
    }
  }
}

function end(card) {
  card.querySelector("[data-title]").textContent = "The customers have been scored anew";
  card.querySelector("[data-hint]").hidden = true;
}

function said(status) {
  if (status.state === "idle") return "All customers have been scored by the version in use.";
  const figures = `${number(status.done)} customers have been scored by the version in use, ${number(status.left ?? 0)} are left`;
  if (status.state === "standing_still") return `It stands still: ${status.reason} ${figures}.`;
  const minutes = status.eta ? Math.ceil((new Date(status.eta) - Date.now()) / 60000) : 0;
  return minutes > 1 ? `${figures}; it takes about ${number(minutes)} minutes more.` : `${figures}.`;
}
