// API keys: a new one is shown once, beside nothing that would take it away before it is copied.

import { call, once, orderSecret } from "./api.js";
import { confirm, show } from "./messages.js";
import { renew } from "./renew.js";

const form = document.getElementById("new-key");
const shown = document.getElementById("new-secret");
const secret = document.getElementById("secret");

function tell(title, key) {
  document.getElementById("new-secret-title").textContent = title;
  secret.value = key;
  shown.hidden = false;
  shown.scrollIntoView({ block: "nearest" });
  secret.focus();
  secret.select();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const data = new FormData(form);
  const scopes = data.getAll("scope");
  document.getElementById("no-scope").hidden = scopes.length > 0;
  if (!scopes.length) return form.querySelector("[name=scope]").focus();
  once(event.submitter ?? form.querySelector("button.primary"), async () => {
    const json = { name: data.get("name").trim(), scopes, expires_in_days: Number(data.get("days")) };
    const body = await orderSecret("api-keys", json, "key", "It may have been made: load this page anew, look for it in the list, and revoke it there.");
    form.reset();
    tell(`The key “${body.name}” has been made`, body.key);
    await renew("working");
  });
});

document.querySelector("main").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  const { key, name } = button?.closest("[data-key]")?.dataset ?? {};
  if (!key) return;
  once(button, async () => {
    if ("revoke" in button.dataset) {
      const detail = "Whoever uses it is refused within seconds, and signed out here. This cannot be undone.";
      if (!(await confirm(`Revoke the key “${name}”?`, { yes: "Revoke it", detail, danger: true }))) return;
      await call("DELETE", `api-keys/${key}`);
      location.reload();
    } else {
      const detail = "The old secret works for an hour longer, so that whoever uses the key can change it.";
      if (!(await confirm(`Give “${name}” a new secret?`, { yes: "Make a new secret", detail }))) return;
      const body = await orderSecret(`api-keys/${key}/rotate`, {}, "key", "It may have been made: the one before works for an hour at most. Make another.");
      tell(`The key “${name}” has a new secret`, body.key);
      await renew("working");
    }
  });
});

shown.querySelector("[data-copy]").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(secret.value);
    show("Copied.", "good");
  } catch {
    secret.select();
    show("Your browser does not let pages copy: the key is marked, press Ctrl+C.", "info");
  }
});
shown.querySelector("[data-done]").addEventListener("click", () => location.reload());
addEventListener("beforeunload", (event) => {
  if (!shown.hidden && document.activeElement?.dataset.done === undefined) event.preventDefault();
});
