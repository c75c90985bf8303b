// Elements, and how numbers are written in them. Text is always text.

/** Make an element; children are elements or texts, and what is null or false is left out. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  made.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

const NUMBER = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const number = (value) => NUMBER.format(value).replace("-", "−");

/** Write a share of 0 to 1, and never what is something as nothing. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "<0.1%";
  if (share < 1 && share > 0.9995) return ">99.9%";
  return `${(100 * share).toFixed(1)}%`;
}

export function money(value) {
  if (value === null || value === undefined) return "missing";
  const currency = document.documentElement.dataset.currency;
  if (!currency) return number(value);
  return new Intl.NumberFormat("en", { style: "currency", currency, maximumFractionDigits: 0 }).format(value);
}

/** A moment, which `localTimes` of app.js writes in the reader's time zone. */
export const time = (moment) => el("time", { datetime: moment }, moment);

/** The colour of a segment, which is the same on all pages. */
export function swatch(id) {
  const place = (Number(id.split("-").pop()) || 1) - 1;
  return el("span", { class: `swatch tone-${(place % 8) + 1}`, "aria-hidden": "true" });
}

/** A segment with its colour; it leads to its page if there is one. */
export function segment({ id, name }, linked = true) {
  const inside = [swatch(id), name || id];
  return linked ? el("a", { class: "segment", href: `/segments/${encodeURIComponent(id)}` }, inside) : el("span", { class: "segment" }, inside);
}

/** Call segments by their names alone, in a remark that has "seg-01 (name)" or an id that `called` has a name for. */
export function withoutIds(remark, called = () => undefined) {
  return remark.replace(/\bseg-\d+ \((.+?)\)/g, "$1").replace(/\bseg-\d+\b/g, (id) => called(id) ?? id);
}
