// The public API, as pages use it: with the session's cookie and CSRF token. Nothing that was typed is lost by an error.

import { show } from "./messages.js";

const API = "/api/v1";
const SECONDS = 30;
const NOT_ALLOWED = "Your key may not do this; ask whoever made it.";

/** What the API has answered instead of doing it: an RFC 9457 problem, or that there was no answer. */
export class Problem extends Error {
  constructor(status, body, retryAfter = 0) {
    super(body.code === "insufficient_scope" ? NOT_ALLOWED : (body.detail ?? "The service did not answer."));
    this.status = status;
    this.code = body.code ?? "no_answer";
    this.errors = body.errors ?? [];
    this.body = body;
    this.retryAfter = retryAfter; // seconds
  }
}

/**
 * Call the API; resolves to { status, body, headers }, rejects with a Problem.
 *
 * A POST is sent with an Idempotency-Key, so that sending it again after a broken connection does it once.
 */
export async function call(method, path, { json, body, headers = {}, signal, seconds = SECONDS, key } = {}) {
  const all = { Accept: "application/json", ...headers };
  if (method !== "GET") all["X-CSRF-Token"] = document.documentElement.dataset.csrfToken;
  if (method === "POST" && key !== null) all["Idempotency-Key"] = key ?? crypto.randomUUID?.() ?? String(Math.random());
  if (json !== undefined) {
    body = JSON.stringify(json);
    all["Content-Type"] ??= method === "PATCH" ? "application/merge-patch+json" : "application/json";
  }
  const signals = [AbortSignal.timeout(seconds * 1000), ...(signal ? [signal] : [])];
  let answer;
  try {
    answer = await fetch(path.startsWith("/") ? path : `${API}/${path}`, { method, headers: all, body, signal: AbortSignal.any(signals) });
  } catch (error) {
    if (signal?.aborted) throw error;
    const late = error.name === "TimeoutError";
    throw new Problem(0, { detail: late ? `No answer within ${seconds} seconds.` : "The service cannot be reached.", code: late ? "timeout" : "no_answer" });
  }
  const type = answer.headers.get("Content-Type") ?? "";
  const content = type.includes("json") ? await answer.json() : await answer.text();
  if (content.code === "csrf_token_wrong" && (await hasNewToken())) {
    return call(method, path, { body, headers: all, signal, seconds, key: all["Idempotency-Key"] ?? null });
  }
  if (!answer.ok) throw new Problem(answer.status, typeof content === "string" ? { detail: answer.statusText } : content, Number(answer.headers.get("Retry-After")) || 0);
  return { status: answer.status, body: content, headers: answer.headers };
}

/** Whether somebody has signed in anew, beside this page: it takes on the token of that session, and keeps what was typed. */
async function hasNewToken() {
  const root = document.documentElement;
  let page = "";
  try {
    page = await (await fetch("/settings", { headers: { Accept: "text/html" } })).text();
  } catch {
    return false; // what went wrong first is told
  }
  const token = new DOMParser().parseFromString(page, "text/html").documentElement.dataset.csrfToken;
  if (!token || token === root.dataset.csrfToken) return false;
  root.dataset.csrfToken = token;
  return true;
}

/** Say in words what went wrong; who is signed out can sign in beside this page, which keeps what was typed. */
export function explain(problem) {
  if (problem.name === "AbortError") return;
  if (problem.status === 401) {
    const message = show("You have been signed out. Nothing you typed is lost: ", "bad");
    const link = document.createElement("a");
    link.href = "/sign-in?next=%2Foverview";
    link.target = "_blank";
    link.textContent = "sign in in a new tab, then try again here.";
    message.querySelector("span").append(link);
    return;
  }
  if (problem.code === "csrf_token_wrong") {
    show("Somebody else has signed in in this browser meanwhile. Keep what you typed, and load this page anew.", "bad");
    return;
  }
  const faults = (problem.errors ?? []).map((error) => `${error.pointer.replace(/^\//, "")} ${error.detail}`);
  show([problem.message, ...faults].join(" "), "bad");
}

/** Run what a button does, once at a time: the button rests meanwhile, and errors are explained. Resolves to the result. */
export async function once(button, work) {
  if (button.getAttribute("aria-disabled") === "true") return undefined;
  button.setAttribute("aria-disabled", "true");
  try {
    return await work();
  } catch (problem) {
    if (!(problem instanceof Problem) && problem.name !== "AbortError") throw problem;
    explain(problem);
    return undefined;
  } finally {
    button.removeAttribute("aria-disabled");
  }
}
