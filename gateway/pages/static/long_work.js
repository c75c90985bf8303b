// Work that takes seconds or minutes: what is done, for how long, and a way to give it up; what went wrong stands in its place.

import { Problem, once } from "./api.js";
import { el } from "./dom.js";

export const LONGEST = 1800; // seconds

/**
 * Do something long when a button is pressed.
 *
 * `work` gets a signal that ends it and resolves to what is shown in `place`; until then what is there stays. How it goes
 * on, or why it does not, stands in `state`.
 */
export function longWork({ button, cancel, state, place, words, work }) {
  button.addEventListener("click", (event) => {
    event.preventDefault();
    once(button, () => during({ cancel, state, place, words, work }));
  });
}

async function during({ cancel, state, place, words, work }) {
  const ending = new AbortController();
  const begun = Date.now();
  const seconds = el("span", { "aria-hidden": "true" });
  state.replaceChildren(el("p", { class: "hint", role: "status" }, `${words} `, seconds), el("progress", { "aria-label": words }));
  const clock = setInterval(() => (seconds.textContent = `${Math.round((Date.now() - begun) / 1000)} s so far.`), 1000);
  const stop = () => ending.abort();
  cancel.hidden = false;
  cancel.addEventListener("click", stop);
  try {
    place.replaceChildren(...(await work(ending.signal)).flat().filter(Boolean));
    state.replaceChildren();
  } catch (problem) {
    state.replaceChildren(fault(problem));
    if (problem.status === 401) throw problem; // said in the words of all pages
  } finally {
    clearInterval(clock);
    cancel.removeEventListener("click", stop);
    cancel.hidden = true;
  }
}

/** Say in place what went wrong. */
function fault(problem) {
  if (problem.name === "AbortError") return el("p", { class: "hint", role: "status" }, "Given up. Nothing was changed.");
  if (!(problem instanceof Problem)) throw problem;
  const faults = problem.errors.map((each) => el("li", {}, `${each.pointer.replace(/^[/?]/, "")} ${each.detail}`));
  return el("div", { class: "notice bad", role: "alert" }, el("strong", {}, "That did not work. "), problem.message, faults.length ? el("ul", {}, faults) : null);
}
