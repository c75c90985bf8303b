// Follows an import until it has ended: it is a resource, so that a page that was left finds it again.

import { call } from "./api.js";
import { localTimes } from "./app.js";

const MILLISECONDS = 700;
const numbers = new Intl.NumberFormat("en-GB");

/** Resolve to the record of an import that has ended; `progress` hears of it meanwhile, and of null while nobody answers. */
export async function follow(id, progress) {
  for (;;) {
    let record = null;
    try {
      record = (await call("GET", `imports/${encodeURIComponent(id)}`)).body;
    } catch (problem) {
      const passing = problem.status === 0 || problem.status === 429 || problem.status >= 500;
      if (!passing) throw problem;
    }
    if (record && record.status !== "running") return record;
    progress(record);
    await new Promise((resolve) => setTimeout(resolve, MILLISECONDS));
  }
}

/** Say in words how far an import is. */
export function said(record) {
  if (record === null) return "The service does not answer at the moment. The import goes on if it can; this page keeps asking …";
  if (record.cancel_requested) return "It stops …";
  if (record.deleted) return `All rows are stored. ${numbers.format(record.deleted)} customers deleted …`;
  return `${numbers.format(record.rows)} rows done, ${numbers.format(record.rejected)} of them refused …`;
}

/** Return the part of a file that has been read, in percent, or null where that is not known, or all of it has. */
export function share(record) {
  return record?.size && record.bytes < record.size ? (100 * record.bytes) / record.size : null;
}

/** Return what the page of an import shows, as a document. */
export async function pageOf(id) {
  const answer = await fetch(`/imports/${encodeURIComponent(id)}`, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  localTimes(page);
  return page;
}

/** Show a bar at so many percent; without a number it only moves. */
export function setBar(bar, percent) {
  if (percent === null) bar.removeAttribute("value");
  else bar.value = percent;
}
