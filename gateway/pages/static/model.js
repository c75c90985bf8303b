// The page of one version: who would move, activating it, and what came of that.

import { call, leave, once } from "./api.js";
import { el, money, number, percent, segment, withoutIds } from "./dom.js";
import { LONGEST, longWork } from "./long_work.js";
import { confirm } from "./messages.js";
import { byId, list, matrix } from "./moves.js";
import { JUST_ACTIVATED } from "./rescoring.js";

// ---- who would move ----

const preview = document.querySelector("[data-preview]");
if (preview) {
  longWork({
    button: preview.querySelector("[data-look]"),
    cancel: preview.querySelector("[data-cancel]"),
    state: preview.querySelector("[data-state]"),
    place: preview.querySelector("[data-result]"),
    words: "Going over all customers.",
    work: async (signal) => previewed((await call("GET", `models/${preview.dataset.preview}/preview`, { signal, seconds: LONGEST })).body),
  });
}

function previewed(found) {
  const { moved, before, after, transitions, remarks = [] } = found;
  const taken = new Set(after.map((one) => one.name));
  const former = (one) => one.status === "retired" && taken.has(one.name);
  const from = byId(before.map((one) => ({ ...one, name: former(one) ? `${one.name} (former)` : one.name, linked: true })));
  const to = byId(after.map((one) => ({ ...one, linked: one.status === "kept" })));
  const names = new Map([...to, ...from].map((one) => [one.id, one.name]));
  const said = (remark) => withoutIds(before.filter(former).reduce((text, one) => text.replaceAll(`${one.id} (${one.name})`, names.get(one.id)), remark), (id) => names.get(id));
  const rows = new Map(before.map((one, place) => [one.id, place]));
  const columns = new Map(after.map((one, place) => [one.id, place]));
  const what = { from, to, count: (one, other) => transitions[rows.get(one)][columns.get(other)], stayed: true };
  return [
    figures([
      ["Would move", number(moved.customers), `${percent(moved.share)} of ${number(found.rows)} customers`],
      ["What they owe", money(moved.balance), `${percent(moved.balance_share)} of all that is owed`],
      ["Their credit limits", money(moved.credit_limit), `${percent(moved.credit_limit_share)} of all known limits`],
    ]),
    remarks.length ? el("ul", {}, remarks.map((remark) => el("li", {}, said(remark)))) : null,
    moved.customers ? [matrix({ ...what, caption: "How many customers go from which segment to which", corner: "From ↓ to →" }), list(what)].flat() : null,
    found.customers.length ? affected(found.customers, from, to) : null,
  ].flat();
}

function figures(all) {
  return el("div", { class: "figures", role: "status" }, all.map(([label, value, hint]) => el("div", { class: "figure" }, el("span", { class: "label" }, label), el("span", { class: "value" }, value), el("span", { class: "hint" }, hint))));
}

function affected(customers, from, to) {
  const side = (all, id) => segment(all.find((one) => one.id === id) ?? { id, name: id }, false);
  const who = (id) => (id === null ? "without an id" : preview.dataset.customers !== "yes" ? id : el("a", { href: `/customers/${encodeURIComponent(id)}` }, id));
  const rows = customers.map((each) =>
    el("tr", {}, el("th", { scope: "row" }, who(each.CUST_ID)), el("td", {}, side(from, each.before)), el("td", {}, side(to, each.after)), el("td", { class: "num desk" }, money(each.balance)), el("td", { class: "num desk" }, `${percent(each.confidence_before)} → ${percent(each.confidence_after)}`)),
  );
  const head = el("tr", {}, ["Customer", "From", "To"].map((title) => el("th", { scope: "col" }, title)), ["Owes", "How sure, now → then"].map((title) => el("th", { scope: "col", class: "num desk" }, title)));
  const caption = "Customers for whom it matters most: both versions are sure of them, and they owe most";
  return el("details", {}, el("summary", {}, `The ${number(customers.length)} customers for whom it matters most`), el("table", {}, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, rows)));
}

// ---- what came of it ----

const since = document.querySelector("[data-since]");
if (since) {
  const query = new URLSearchParams({ since: since.dataset.since });
  longWork({
    button: since.querySelector("[data-look]"),
    cancel: since.querySelector("[data-cancel]"),
    state: since.querySelector("[data-state]"),
    place: since.querySelector("[data-result]"),
    words: "Looking through all changes since.",
    work: async (signal) => happened((await call("GET", `segments/transitions?${query}`, { signal, seconds: LONGEST })).body),
  });
}

function happened(found) {
  const names = JSON.parse(since.dataset.names);
  const moves = found.items.filter((each) => each.from !== null && each.to !== null);
  const current = JSON.parse(since.dataset.current);
  const counts = new Map(moves.map((each) => [`${each.from} ${each.to}`, each.customers]));
  const side = (ids) => byId([...new Set([...current, ...ids])].map((id) => ({ id, name: names[id] ?? id, linked: current.includes(id), status: current.includes(id) ? "kept" : "gone" })));
  const what = { from: side(moves.map((each) => each.from)), to: side(moves.map((each) => each.to)), count: (one, other) => counts.get(`${one} ${other}`) ?? 0, stayed: false };
  const because = moves.reduce((sum, each) => sum + (each.causes.model_activated ?? 0) + (each.causes.rollback ?? 0), 0);
  const others = found.moved - because;
  const words = found.moved
    ? `${number(found.moved)} customers are in another segment than then: ${number(because)} because of this version${others ? `, ${number(others)} for other reasons, such as changed data` : ""}.`
    : "No customer is in another segment than then.";
  const came = [found.entered ? `${number(found.entered)} came in` : "", found.left ? `${number(found.left)} left` : ""].filter(Boolean).join(", ");
  return [el("p", { role: "status" }, words), came ? el("p", {}, `Besides, ${came}.`) : null, ...(found.moved ? [matrix({ ...what, caption: "How many customers went from which segment to which", corner: "From ↓ to →" }), list(what)].flat() : [])];
}

// ---- activating it ----

const activate = document.querySelector("[data-activate]");
activate?.addEventListener("submit", (event) => {
  event.preventDefault();
  once(activate.querySelector("button"), putInUse);
});

async function putInUse() {
  const { activate: version, passed } = activate.dataset;
  const force = passed !== "yes";
  const detail = force ? "The checks have failed: this version is worse than the one in use, or breaks what people rely on. Who looks later sees that it was activated against the checks." : "Every customer is then scored anew in the background.";
  if (!(await confirm(force ? "Activate it against the checks?" : "Activate this version?", { yes: "Activate", detail, danger: force }))) return undefined;
  const done = (await call("POST", `models/${version}/activate`, { json: { reason: activate.elements.reason.value.trim(), force }, seconds: 120 })).body;
  return leaveFor(done.version);
}

function leaveFor(version) {
  const address = `/models/${encodeURIComponent(version)}`;
  if (location.pathname !== address) return leave(`${address}${JUST_ACTIVATED}`);
  history.replaceState(null, "", JUST_ACTIVATED);
  location.reload();
  return new Promise(() => {});
}
