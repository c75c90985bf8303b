// Who moves from which segment to which: as a matrix, whose axes are in the order of the ids, and as a list.

import { el, number, percent, segment, swatch } from "./dom.js";

const HEATS = 5;
const LISTED = 12;

/**
 * Return the matrix: a row for each segment that customers leave, a column for each that they come to.
 *
 * `count(from, to)` is how many go; `stayed` says whether those who stay are known, so that sums have a meaning.
 */
export function matrix({ from, to, count, stayed, caption, corner }) {
  const most = Math.max(1, ...from.flatMap((one) => to.filter((other) => other.id !== one.id).map((other) => count(one.id, other.id))));
  const total = (ids, of) => ids.reduce((sum, each) => sum + of(each.id), 0);
  const head = el("tr", {}, el("th", { scope: "col" }, corner), to.map((each) => el("th", { scope: "col", title: each.name }, el("span", { class: "hidden" }, each.name), swatch(each.id), label(each))), stayed ? el("th", { scope: "col", class: "total" }, "All") : null);
  const rows = from.map((one) =>
    el("tr", {}, el("th", { scope: "row" }, label(one), " ", segment(one, one.linked), mark(one)), to.map((other) => cell(one, other, count(one.id, other.id), most, stayed)), stayed ? el("td", { class: "total" }, number(total(to, (id) => count(one.id, id)))) : null),
  );
  const foot = stayed ? el("tfoot", {}, el("tr", {}, el("th", { scope: "row" }, "All, afterwards"), to.map((other) => el("td", {}, number(total(from, (id) => count(id, other.id))))), el("td", { class: "total" }, ""))) : null;
  const table = el("table", { class: "matrix" }, el("caption", {}, caption), el("thead", {}, head), el("tbody", {}, rows), foot);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table);
}

const numberOf = ({ id }) => Number(id.split("-").pop());

/** Return segments in the order of their ids, which is the same for all versions. */
export const byId = (segments) => segments.sort((one, other) => numberOf(one) - numberOf(other));

function label(each) {
  return el("span", { class: "number", "aria-hidden": "true" }, String(numberOf(each)));
}

function mark(each) {
  const word = { new: "new", retired: "ends", gone: "is no more" }[each.status];
  return word ? [" ", el("span", { class: "badge" }, word)] : [];
}

function cell(one, other, count, most, stayed) {
  if (one.id === other.id) return el("td", { class: "stays", title: stayed ? `${number(count)} stay` : "stay" }, stayed ? number(count) : "stay");
  if (!count) return el("td", { class: "none" }, "·");
  return el("td", { class: `heat-${Math.max(1, Math.ceil(HEATS * Math.sqrt(count / most)))}`, title: `${number(count)} go from ${one.name} to ${other.name}` }, number(count));
}

/** Return the list of moves, the largest first. */
export function list({ from, to, count, stayed }) {
  const moves = from.flatMap((one) => to.filter((other) => other.id !== one.id && count(one.id, other.id)).map((other) => ({ one, other, customers: count(one.id, other.id) })));
  moves.sort((a, b) => b.customers - a.customers);
  if (!moves.length) return null;
  const size = (one) => to.reduce((sum, other) => sum + count(one.id, other.id), 0);
  const rows = moves.slice(0, LISTED).map(({ one, other, customers }) =>
    el("tr", {}, el("td", { class: "num" }, number(customers)), stayed ? el("td", { class: "num desk" }, percent(customers / size(one))) : null, el("td", {}, segment(one, one.linked), mark(one)), el("td", {}, segment(other, other.linked), mark(other))),
  );
  const head = el("tr", {}, el("th", { scope: "col", class: "num" }, "Customers"), stayed ? el("th", { scope: "col", class: "num desk" }, "Of the segment") : null, el("th", { scope: "col" }, "From"), el("th", { scope: "col" }, "To"));
  const rest = moves.length - LISTED;
  return [el("table", { class: "movers" }, el("caption", {}, "The largest moves"), el("thead", {}, head), el("tbody", {}, rows)), rest > 0 ? el("p", { class: "hint" }, `${number(rest)} smaller moves are in the matrix.`) : null];
}
