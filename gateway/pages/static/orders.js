// Orders that change which version is in use: given once, however often and on however bad a line they are sent.

import { call } from "./api.js";

const keys = new Map();

/** Send an order; one that got no answer is sent again under the same key, so that it is carried out once. */
export async function order(path, json) {
  const what = `${path} ${JSON.stringify(json)}`;
  if (!keys.has(what)) keys.set(what, crypto.randomUUID?.() ?? String(Math.random()));
  try {
    return await call("POST", path, { json, key: keys.get(what), seconds: 120 });
  } catch (problem) {
    if (problem.status) keys.delete(what); // it was answered: the next one is another order
    throw problem;
  }
}

/** Go to another page; the button that led there rests until then. */
export function leave(address) {
  location.assign(address);
  return new Promise((resolve) => addEventListener("pageshow", resolve, { once: true }));
}
