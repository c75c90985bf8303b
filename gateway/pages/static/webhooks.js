// Webhooks: adding, changing and testing them, and sending messages again.

import { call, once, orderSecret, Problem } from "./api.js";
import { confirm, show, showNext } from "./messages.js";
import { tell } from "./secret.js";

const here = document.getElementById("webhook")?.dataset ?? {};
const SECONDS = 30; // that a test may take, its way by the worker included

/** Read the form; null where something is missing that the browser does not look for. */
function members(form) {
  const data = new FormData(form);
  const types = data.get("which") === "all" ? null : data.getAll("type");
  const missing = types !== null && types.length === 0;
  form.querySelector("#no-type").hidden = !missing;
  if (missing) {
    form.querySelector("[name=type]").focus();
    return null;
  }
  return { url: data.get("url").trim(), description: data.get("description").trim(), types };
}

/** Show the page as it is now, and what came of it. */
function anew(text, kind = "good") {
  showNext(text, kind);
  location.assign(`/settings/webhooks/${here.webhook}`);
}

function sends(id, work) {
  const form = document.getElementById(id);
  form?.addEventListener("submit", (event) => {
    event.preventDefault();
    once(event.submitter ?? form.querySelector("button"), () => work(form));
  });
  // Whoever ticks a kind means it.
  form?.addEventListener("change", (event) => {
    if (event.target.name === "type" && event.target.checked) form.querySelector("[name=which][value=some]").checked = true;
  });
}

sends("new-webhook", async (form) => {
  const json = members(form);
  if (!json) return;
  const body = await orderSecret("webhooks", json, "secret", "It may have been made: load this page anew, look for it in the list, and delete it there.");
  tell(body.secret, { next: `/settings/webhooks/${body.id}` });
});

sends("change-webhook", async (form) => {
  const json = members(form);
  if (!json) return;
  await call("PATCH", `webhooks/${here.webhook}`, { json });
  anew("Saved.");
});

sends("replay", async (form) => {
  const data = new FormData(form);
  const after = data.get("from") === "event" ? data.get("event").trim() : data.get("from");
  if (!after) {
    form.querySelector("#event").focus();
    return show("Say after which message: each has its number (“No.”) above.", "bad");
  }
  const question = after === "now" ? "Pass over what waits?" : `Tell “${here.name}” once more?`;
  const detail = after === "now" ? "Messages that have not been sent yet are never sent, unless you begin earlier again." : "It hears what it has heard before, and must not mind.";
  if (!(await confirm(question, { yes: "Begin there", detail, danger: after === "now" }))) return;
  await call("POST", `webhooks/${here.webhook}/replay`, { json: { after } });
  anew("It goes on from there.");
});

/** Wait until a message has been sent, and say what came of it. */
async function follow(address) {
  show("It is being sent …", "info");
  const until = Date.now() + SECONDS * 1000;
  while (Date.now() < until) {
    const { body } = await call("GET", address);
    if (body.status !== "waiting") return body;
    await new Promise((resolve) => setTimeout(resolve, 400));
  }
  throw new Problem(0, { detail: "It has not been sent yet: does a worker run? It is sent as soon as one does." });
}

async function sendNow(path) {
  const { headers } = await call("POST", path);
  const sent = await follow(headers.get("Location"));
  if (sent.status === "delivered") anew(`It was sent and taken: ${sent.detail}`);
  else anew(`It was not taken: ${sent.detail}`, "bad");
}

const DOES = {
  test: () => sendNow(`webhooks/${here.webhook}/test`),
  again: (button) => sendNow(`webhooks/${here.webhook}/deliveries/${button.closest("[data-delivery]").dataset.delivery}/replay`),
  async status(button) {
    await call("PATCH", `webhooks/${here.webhook}`, { json: { status: button.dataset.status } });
    location.reload();
  },
  async rotate() {
    const detail = "For a day, messages are signed with the old one as well, so that the system that receives them can change it.";
    if (!(await confirm("Make a new secret?", { yes: "Make a new secret", detail }))) return;
    const body = await orderSecret(`webhooks/${here.webhook}/rotate`, {}, "secret", "It may have been made: the one before works for a day at most. Make another.");
    tell(body.secret, { next: `/settings/webhooks/${here.webhook}` });
  },
  async delete() {
    const detail = "It hears nothing more, and nobody can read what it was told any more. This cannot be undone.";
    if (!(await confirm(`Delete the webhook “${here.name}”?`, { yes: "Delete it", detail, danger: true }))) return;
    await call("DELETE", `webhooks/${here.webhook}`);
    location.assign("/settings/webhooks");
  },
};

document.querySelector("main").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const what = Object.keys(DOES).find((name) => button && name in button.dataset);
  if (what) once(button, () => DOES[what](button));
});
