// Messages at the foot of the page, and questions that are answered before anything is done. Text is always text.

/** Show a message; `kind` is "info", "good" or "bad". Errors stay until they are closed. */
export function show(text, kind = "info") {
  const place = document.getElementById("messages");
  const message = document.createElement("div");
  message.className = `notice ${kind}`;
  const words = document.createElement("span");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "quiet";
  close.setAttribute("aria-label", "Close this message");
  close.textContent = "×";
  close.addEventListener("click", () => message.remove());
  message.append(words, close);
  place.append(message);
  if (kind !== "bad") setTimeout(() => message.remove(), 8000);
  return message;
}

/** Keep a message for the page that is loaded next, which shows it. */
export function showNext(text, kind = "good") {
  try {
    sessionStorage.setItem("next-message", JSON.stringify([text, kind]));
  } catch {
    // storage is switched off: the page itself shows what has become of it
  }
}

/** Show what the page before has kept for this one. */
export function showKept() {
  try {
    const kept = JSON.parse(sessionStorage.getItem("next-message"));
    sessionStorage.removeItem("next-message");
    if (kept) show(...kept);
  } catch {
    // storage is switched off
  }
}

/** Ask a question in a dialog; resolves to whether it was answered with yes, and to the text if `label` asks for one. */
export function confirm(question, { yes = "Yes", detail = "", label = "", danger = false } = {}) {
  const dialog = document.createElement("dialog");
  const form = document.createElement("form");
  form.method = "dialog";
  const title = document.createElement("h2");
  title.textContent = question;
  title.id = "question";
  dialog.setAttribute("aria-labelledby", "question");
  form.append(title);
  if (detail) {
    const text = document.createElement("p");
    text.textContent = detail;
    form.append(text);
  }
  let input = null;
  if (label) {
    const name = document.createElement("label");
    name.textContent = label;
    input = document.createElement("input");
    input.required = true;
    name.append(input);
    form.append(name);
  }
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  const no = document.createElement("button");
  no.type = "button";
  no.textContent = "Cancel";
  no.addEventListener("click", () => dialog.close("no"));
  const go = document.createElement("button");
  go.className = danger ? "danger" : "primary";
  go.value = "yes";
  go.textContent = yes;
  buttons.append(no, go);
  form.append(buttons);
  dialog.append(form);
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      const agreed = dialog.returnValue === "yes";
      dialog.remove();
      resolve(agreed && (input ? input.value : true));
    });
    dialog.showModal();
  });
}
