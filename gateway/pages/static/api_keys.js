// API keys: making, renewing and revoking them.

import { call, once, orderSecret } from "./api.js";
import { confirm } from "./messages.js";
import { tell } from "./secret.js";

const form = document.getElementById("new-key");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const data = new FormData(form);
  const scopes = data.getAll("scope");
  document.getElementById("no-scope").hidden = scopes.length > 0;
  if (!scopes.length) return form.querySelector("[name=scope]").focus();
  once(event.submitter ?? form.querySelector("button.primary"), async () => {
    const json = { name: data.get("name").trim(), scopes, expires_in_days: Number(data.get("days")) };
    const body = await orderSecret("api-keys", json, "key", "It may have been made: load this page anew, look for it in the list, and revoke it there.");
    tell(body.key, { title: `The key “${body.name}” has been made` });
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
      tell(body.key, { title: `The key “${name}” has a new secret` });
    }
  });
});
