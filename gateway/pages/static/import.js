// The page of one import: while it runs, how far it is; then what became of it.

import { call, explain, once, Problem } from "./api.js";
import { follow, pageOf, said, setBar, share } from "./follow.js";

async function watch(id) {
  await follow(id, (record) => {
    document.getElementById("progress-said").textContent = said(record);
    if (record) setBar(document.getElementById("bar"), share(record));
  });
  const page = await pageOf(id);
  const main = page.querySelector("main");
  if (main.querySelector("#receipt")) document.querySelector("main").replaceWith(document.adoptNode(main));
  else location.reload();
}

/** Follow the import that the page shows, if it still runs; resolves when its page shows what became of it. */
export async function attend() {
  const running = document.getElementById("running");
  if (!running) return;
  const id = running.dataset.import;
  const cancel = document.getElementById("cancel");
  cancel.addEventListener("click", () => once(cancel, () => call("POST", `imports/${encodeURIComponent(id)}/cancel`)));
  try {
    await watch(id);
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    explain(problem);
  }
}

attend();
