// The refused rows as a file, to be mended and sent again. It is made here, of the file that was chosen: the service keeps
// neither ids nor values of refused rows, only lines and reasons.

import { call, Problem } from "./api.js";
import { cells } from "./header.js";

const REASON = "Why it was refused";
const MOST_LINES = 100; // of one row: a quote that nobody closes does not take the rest of the file
const LINE_END = /\r\n|\n|\r(?!$)/; // a return at the end may be half a line end

/** Return the refused rows as they stand in a CSV file, with the reasons in another column; `head` is what `headOf` found. */
export async function refusedRows(file, head, record) {
  const reasons = await reasonsOf(record);
  const found = [];
  for await (const { line, text } of rowsOf(file, (number) => number === head.line || reasons.has(number))) {
    found.push(`${text}${head.delimiter}${quoted(line === head.line ? REASON : reasons.get(line).join("; "))}\r\n`);
  }
  return new Blob(["\ufeff", ...found], { type: "text/csv;charset=utf-8" });
}

/** Return what the file is called. */
export function nameOf(file) {
  return file.name.replace(/(\.[^.]*)?$/, (suffix) => `-refused${suffix || ".csv"}`);
}

// What is wrong, by line, with the names that the file gives its columns.
async function reasonsOf(record) {
  const names = Object.fromEntries(record.columns.map((column) => [column.column, column.read_from]));
  const [, ...lines] = (await call("GET", `imports/${encodeURIComponent(record.id)}/errors`)).body.trimEnd().split("\r\n");
  const reasons = new Map();
  for (const text of lines) {
    const [line, column, detail] = cells(text, ",");
    if (!/^\d+$/.test(line) || detail === undefined) throw new Problem(0, { detail: "The list of reasons broke off. Try again." });
    if (!reasons.has(Number(line))) reasons.set(Number(line), []);
    reasons.get(Number(line)).push(column ? `${names[column] ?? column}: ${detail}` : detail);
  }
  return reasons;
}

// The rows that begin on wanted lines. One goes on while a quote is open, unless another wanted one begins: then only its
// first line counts, as for the service.
async function* rowsOf(file, wanted) {
  let number = 0;
  let open = null;
  for await (const text of linesOf(file)) {
    number += 1;
    if (open && !wanted(number) && open.lines.length < MOST_LINES) {
      open.lines.push(text);
      if (isWhole(text)) continue;
      yield { line: open.line, text: open.lines.join("\n") };
      open = null;
      continue;
    }
    if (open) yield firstOf(open);
    open = wanted(number) ? { line: number, lines: [text] } : null;
    if (open && isWhole(text)) {
      yield { line: number, text };
      open = null;
    }
  }
  if (open) yield firstOf(open);
}

function firstOf(open) {
  return { line: open.line, text: `${open.lines[0]}"` }; // or the quote would take the reason, and the rows below
}

function isWhole(text) {
  return text.split('"').length % 2 === 1;
}

async function* linesOf(file) {
  const reader = file.stream().pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split(LINE_END);
    rest = lines.pop();
    yield* lines;
  }
  if (rest) yield rest.replace(/\r$/, "");
}

function quoted(text) {
  return `"${text.replaceAll('"', '""')}"`;
}
