// Pictures that are drawn on demand, which takes seconds each after a renaming: one after the other, when they are unfolded.

import { Problem, call } from "./api.js";
import { el } from "./dom.js";

const TRIES = 6;
const SECONDS = 60; // that one answer may take

let last = Promise.resolve();

for (const place of document.querySelectorAll("[data-picture]")) {
  const fold = place.closest("details");
  fold.addEventListener("toggle", () => fold.open && !place.firstChild && ask(place));
}

/** Show the picture in its place as soon as those are there that were asked for before it. */
function ask(place) {
  place.replaceChildren(el("p", { class: "hint", role: "status" }, "The picture is being drawn …"));
  last = last.then(() => show(place));
}

async function show(place) {
  try {
    const source = `data:image/svg+xml,${encodeURIComponent(await drawn(place.dataset.picture))}`;
    place.replaceChildren(el("img", { src: source, alt: place.dataset.alt }));
  } catch (problem) {
    const again = el("button", { type: "button" }, "Try again");
    again.addEventListener("click", () => ask(place));
    place.replaceChildren(el("p", { class: "notice bad", role: "alert" }, el("strong", {}, "The picture cannot be shown. "), problem.message), el("p", { class: "buttons" }, again));
    if (!(problem instanceof Problem)) throw problem;
  }
}

/** Return the picture; while too much is being drawn, ask again when told to. */
async function drawn(address) {
  for (let tries = 1; ; tries += 1) {
    try {
      return (await call("GET", address, { headers: { Accept: "image/svg+xml" }, seconds: SECONDS })).body;
    } catch (problem) {
      if (![503, 504].includes(problem.status) || tries === TRIES) throw problem;
      await new Promise((resolve) => setTimeout(resolve, 1000 * (problem.retryAfter || tries)));
    }
  }
}
