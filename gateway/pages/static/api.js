// The public API, as pages use it: with the session's cookie and CSRF token. Nothing that was typed is lost by an error.

import { show } from "./messages.js";

const API = "/api/v1";
const SECONDS = 30;
const UNSURE = new Set(["no_answer", "timeout", "idempotency_in_progress", "idempotency_outcome_unknown", "idempotency_answer_not_kept"]);
const unanswered = new Map(); // the key of what was ordered and got no answer
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

/** Begin to order something; what got no answer has the same key again, so that it is carried out once. */
export function order(path, body) {
  const what = `${path} ${body instanceof File ? [body.name, body.size, body.lastModified].join(" ") : (body ?? "")}`;
  const key = unanswered.get(what) ?? crypto.randomUUID?.() ?? String(Math.random());
  unanswered.set(what, key);
  const answered = (status, code) => {
    // Of 502 and 504 a proxy may be the author, which has not heard what became of it.
    const open = status === 0 || status === 502 || status === 504 || code === "idempotency_in_progress";
    if (!open) unanswered.delete(what);
  };
  return { key, answered, givenUp: () => unanswered.delete(what) };
}

/**
 * Call the API; resolves to { status, body, headers }, rejects with a Problem.
 *
 * A POST is sent with an Idempotency-Key (unless `key` is null), so that sending it again after a broken connection does it once.
 */
export async function call(method, path, { json, body, headers = {}, signal, seconds = SECONDS, key } = {}) {
  const again = () => call(method, path, { json, body: sent, headers, signal, seconds, key });
  const sent = body;
  const all = { Accept: "application/json", ...headers };
  if (method !== "GET") all["X-CSRF-Token"] = document.documentElement.dataset.csrfToken;
  if (json !== undefined) {
    body = JSON.stringify(json);
    all["Content-Type"] ??= method === "PATCH" ? "application/merge-patch+json" : "application/json";
  }
  const ordered = method === "POST" && key !== null ? order(path, body) : null;
  if (ordered) all["Idempotency-Key"] = ordered.key;
  const signals = [AbortSignal.timeout(seconds * 1000), ...(signal ? [signal] : [])];
  let answer, content;
  try {
    answer = await fetch(path.startsWith("/") ? path : `${API}/${path}`, { method, headers: all, body, signal: AbortSignal.any(signals) });
    const type = answer.headers.get("Content-Type") ?? "";
    content = type.includes("json") ? await answer.json() : await answer.text();
  } catch (error) {
    if (signal?.aborted) {
      ordered?.givenUp();
      throw error;
    }
    const late = error.name === "TimeoutError";
    throw new Problem(0, { detail: late ? `No answer within ${seconds} seconds.` : "The service cannot be reached.", code: late ? "timeout" : "no_answer" });
  }
  ordered?.answered(answer.status, content.code);
  if (content.code === "csrf_token_wrong" && (await hasNewToken())) return again();
  if (!answer.ok) throw new Problem(answer.status, typeof content === "string" ? { detail: answer.statusText } : content, Number(answer.headers.get("Retry-After")) || 0);
  return { status: answer.status, body: content, headers: answer.headers };
}

/**
 * Order something whose answer has a secret, which is told once; resolves to the answer.
 *
 * Where that got lost, `advice` says what to do about what may have been made.
 */
export async function orderSecret(path, json, member, advice) {
  let said = "It has been made, but its secret got lost on the way.";
  try {
    const { body } = await call("POST", path, { json });
    if (body[member]) return body;
  } catch (problem) {
    if (!UNSURE.has(problem.code)) throw problem;
    said = problem.message;
  }
  throw new Problem(0, { detail: `${said} ${advice}` });
}

/**
 * Whether whom this page belongs to has signed in anew, beside it: it takes on the token of that session, and keeps what was typed.
 *
 * In somebody else's name it never goes on.
 */
export async function hasNewToken() {
  const root = document.documentElement;
  let page = "";
  try {
    page = await (await fetch("/settings", { headers: { Accept: "text/html" } })).text();
  } catch {
    return false; // what went wrong first is told
  }
  const { csrfToken: token, person } = new DOMParser().parseFromString(page, "text/html").documentElement.dataset;
  if (!token || token === root.dataset.csrfToken || person !== root.dataset.person) return false;
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
    show("Somebody else has signed in in this browser meanwhile, so nothing was done. Keep what you typed, and load this page anew to go on in their name.", "bad");
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

/** Go to another page; the button that led there rests until then. */
export function leave(address) {
  location.assign(address);
  return new Promise((resolve) => addEventListener("pageshow", resolve, { once: true }));
}
