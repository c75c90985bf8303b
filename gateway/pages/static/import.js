// The page of one import: while it runs, how far it is; then what became of it.

import { call, explain, once, Problem } from "./api.js";
import { follow, pageOf, said, setBar, share } from "./follow.js";

const running = document.getElementById("running");

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

if (running) {
  const id = running.dataset.import;
  const cancel = document.getElementById("cancel");
  cancel.addEventListener("click", () => once(cancel, () => call("POST", `imports/${encodeURIComponent(id)}/cancel`)));
  watch(id).catch((problem) => {
    if (!(problem instanceof Problem)) throw problem;
    explain(problem);
  });
}
