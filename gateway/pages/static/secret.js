// A secret that is shown once: in a dialog, so that nothing else of the page moves, and none goes before it is kept.

const dialog = document.getElementById("new-secret");
const secret = document.getElementById("secret");
let kept = false;

/** Show a secret until somebody says that it is kept, which leads to another address, or to this one as it is now. */
export function tell(value, { title, next } = {}) {
  if (title) document.getElementById("new-secret-title").textContent = title;
  secret.value = value;
  dialog.showModal();
  secret.focus();
  secret.select();
  dialog.querySelector("[data-done]").addEventListener("click", () => {
    kept = true;
    if (next) location.assign(next);
    else location.reload();
  });
}

const copy = dialog.querySelector("[data-copy]");
copy.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(secret.value);
    copy.textContent = "Copied";
  } catch {
    secret.select(); // this browser does not let pages copy
    copy.textContent = "Press Ctrl+C";
  }
});

// Escape would take the secret away, and whoever leaves before has been asked whether it is kept.
dialog.addEventListener("cancel", (event) => event.preventDefault());
addEventListener("beforeunload", (event) => {
  if (dialog.open && !kept) event.preventDefault();
});
