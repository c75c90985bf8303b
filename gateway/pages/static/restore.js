// Brings deleted customers back, where a page offers it.

import { call, once } from "./api.js";
import { showNext } from "./messages.js";

for (const button of document.querySelectorAll("[data-restore]")) {
  button.addEventListener("click", () =>
    once(button, async () => {
      const id = encodeURIComponent(button.dataset.restore);
      await call("POST", `customers/${id}/restore`);
      showNext(`Customer ${button.dataset.restore} has been restored.`);
      location.assign(`/customers/${id}`);
    }),
  );
}
