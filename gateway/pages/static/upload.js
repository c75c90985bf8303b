// Sends a file to the API and tells how much of it has gone: fetch cannot say that, XMLHttpRequest can.

import { hasNewToken, order, Problem } from "./api.js";

/** Send a file; resolves to { status, body }, rejects with a Problem, or with an AbortError where `signal` says so. */
export async function upload(path, file, options) {
  const ordered = order(path, file);
  try {
    const answer = await send(path, file, ordered.key, options);
    ordered.answered(answer.status);
    return answer;
  } catch (problem) {
    if (problem.name === "AbortError") ordered.givenUp();
    else ordered.answered(problem.status, problem.code);
    if (problem.code === "csrf_token_wrong" && (await hasNewToken())) return upload(path, file, options);
    throw problem;
  }
}

function send(path, file, key, { type, signal, progress = () => {} }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("Content-Type", type);
    request.setRequestHeader("X-CSRF-Token", document.documentElement.dataset.csrfToken);
    request.setRequestHeader("Idempotency-Key", key);
    request.upload.addEventListener("progress", (event) => progress(event.loaded, event.total));
    request.addEventListener("load", () => {
      const body = parsed(request.responseText);
      if (request.status < 300) resolve({ status: request.status, body });
      else reject(new Problem(request.status, body ?? { detail: request.statusText || "The service did not take the file." }));
    });
    request.addEventListener("error", () =>
      reject(new Problem(0, { detail: "The connection broke before the file had arrived, or the file has changed since it was chosen. Try again." })),
    );
    request.addEventListener("abort", () => reject(new DOMException("given up", "AbortError")));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
