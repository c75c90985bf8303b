// The way of a file: choose it, say which column is which, see what it would change, import it.

import { call, once, Problem } from "./api.js";
import { follow, pageOf, said, setBar, share } from "./follow.js";
import { fold, headOf, mapping, recognised } from "./header.js";
import { attend } from "./import.js";
import { confirm } from "./messages.js";
import { nameOf, refusedRows } from "./refused.js";
import { upload } from "./upload.js";

const form = document.getElementById("import");
const numbers = new Intl.NumberFormat("en-GB");
const part = (id) => document.getElementById(id);

let chosen = null; // { file, type, head, names, known }: the file, and how its columns are recognised
let checked = null; // what the check has found
let moving = null; // stops what is on its way

function typeOf(file) {
  const suffixes = JSON.parse(form.dataset.suffixes);
  const dot = file.name.lastIndexOf(".");
  return dot < 0 ? "text/csv" : suffixes[file.name.slice(dot).toLowerCase()];
}

function faultOf(file) {
  if (/\.(xlsx?|ods|numbers)$/i.test(file.name)) return "This is a spreadsheet. Open it and save it as “CSV UTF-8”, then choose that file.";
  if (!typeOf(file)) return "This kind of file is not understood. CSV, NDJSON and Parquet are.";
  if (!file.size) return "The file is empty.";
  if (file.size > Number(form.dataset.largest)) return `The file is too large: ${numbers.format(Number(form.dataset.largest) / 1e6)} MB are taken at most.`;
  return "";
}

async function choose(file) {
  forget();
  const fault = faultOf(file);
  part("file-fault").textContent = fault;
  part("file-fault").hidden = !fault;
  for (const id of ["columns", "order"]) part(id).hidden = Boolean(fault);
  part("so-far").hidden = true; // or it would jump when the check has ended
  chosen = null;
  if (fault) return;
  const columns = JSON.parse(form.dataset.columns);
  const type = typeOf(file);
  try {
    const head = await headOf(file, type, new Set(columns.flatMap((column) => column.names)));
    chosen = { file, type, head, names: head.names, known: recognised(head.names ?? [], columns) };
  } catch {
    part("file-fault").textContent = "The file cannot be read. Was it moved or changed? Choose it again.";
    part("file-fault").hidden = false;
    return;
  }
  showColumns(columns);
}

function showColumns(columns) {
  const { names, known } = chosen;
  part("mapping").hidden = names === null;
  if (names === null) {
    part("columns-said").textContent = "The columns of a Parquet file are read when it is checked.";
    return;
  }
  part("mapping-fields").replaceChildren(...columns.map((column) => field(column, names, known[column.name])));
  sayColumns(columns);
}

function field(column, names, read) {
  const place = document.createElement("div");
  const label = document.createElement("label");
  const select = document.createElement("select");
  select.id = `column-${column.name}`;
  select.dataset.column = column.name;
  label.htmlFor = select.id;
  label.textContent = column.required ? column.label : `${column.label} (may be missing)`;
  select.append(new Option(column.required ? "Choose …" : "Not in the file", ""), ...names.map((name) => new Option(name, name)));
  select.value = read ?? "";
  const fault = document.createElement("p");
  fault.className = "fault";
  fault.id = `${select.id}-fault`;
  fault.hidden = true;
  place.append(label, fault, select);
  select.addEventListener("change", () => {
    forget();
    sayColumns(JSON.parse(form.dataset.columns));
  });
  return place;
}

function sayColumns(columns) {
  const lacking = columns.filter((column) => {
    const select = part(`column-${column.name}`);
    const lacks = column.required && !select.value;
    select.parentElement.classList.toggle("lacking", lacks);
    if (!lacks) {
      select.removeAttribute("aria-invalid");
      select.removeAttribute("aria-describedby");
      part(`${select.id}-fault`).classList.add("done"); // it keeps its place, so that no field moves
    }
    return lacks;
  });
  const found = columns.filter((column) => part(`column-${column.name}`).value).length;
  part("columns-said").textContent = lacking.length
    ? `${found} of ${columns.length} columns are recognised. Please say where to find: ${lacking.map((column) => column.label).join(", ")}.`
    : `All that is needed is recognised: ${found} of ${columns.length} columns.`;
  if (lacking.length) part("mapping").open = true;
}

/** Say beside each column that is needed and not chosen that it has to be, and go to the first; return whether there is one. */
function asksForColumns() {
  if (chosen.names === null) return false;
  const lacking = [...part("mapping-fields").querySelectorAll(".lacking select")];
  for (const select of lacking) {
    const { label } = JSON.parse(form.dataset.columns).find((column) => column.name === select.dataset.column);
    const fault = part(`${select.id}-fault`);
    fault.textContent = `Choose the column for ${label}.`;
    fault.hidden = false;
    fault.classList.remove("done");
    select.setAttribute("aria-describedby", fault.id);
    select.setAttribute("aria-invalid", "true");
  }
  if (!lacking.length) return false;
  part("mapping").open = true;
  lacking[0].focus({ preventScroll: true });
  lacking[0].parentElement.scrollIntoView({ block: "center" });
  return true;
}

function wantedColumns() {
  const selects = [...part("mapping-fields").querySelectorAll("select")];
  return selects.map((select) => [select.dataset.column, select.value]).filter(([column, name]) => name && (chosen.known[column] === undefined || fold(chosen.known[column]) !== fold(name)));
}

function address(options) {
  const query = new URLSearchParams({ mode: form.elements.mode.value, background: "true", ...options });
  const name = chosen.file.name.replace(/[\u0000-\u001f\u007f]/g, " ").slice(0, 200);
  if (name.trim()) query.set("name", name);
  const columns = chosen.names === null ? [] : wantedColumns();
  if (columns.length) query.set("columns", mapping(columns));
  return `/api/v1/imports?${query}`;
}

function forget() {
  checked = null;
  part("found").replaceChildren();
  part("go").hidden = true;
  part("preflight").hidden = true;
}

function move(text, percent) {
  part("progress").hidden = false;
  part("go-said").hidden = true;
  part("progress-said").textContent = text;
  setBar(part("bar"), percent);
}

function rest() {
  moving = null;
  part("progress").hidden = true;
  part("go-said").hidden = false;
}

async function send(options) {
  moving = new AbortController();
  part("preflight").hidden = false;
  move("Sending the file …", 0);
  const { type, file } = chosen;
  const progress = (sent, all) => {
    const whole = sent >= all;
    move(whole ? "The file has arrived and is being opened …" : `Sending the file: ${numbers.format(Math.round((100 * sent) / all))}%`, whole ? null : (100 * sent) / all);
  };
  return (await upload(address(options), file, { type, signal: moving.signal, progress })).body;
}

async function check() {
  forget();
  try {
    const begun = await send({ dry_run: "true" });
    moving = { abort: () => call("POST", `imports/${encodeURIComponent(begun.id)}/cancel`).catch(() => undefined) };
    const record = await follow(begun.id, (now) => move(`Checking: ${said(now)}`, share(now)));
    const receipt = (await pageOf(begun.id)).querySelector("#receipt");
    if (!receipt) throw new Problem(0, { detail: "What was found cannot be shown at the moment. Check the file again." });
    part("found").replaceChildren(document.adoptNode(receipt));
    offerRefused(record);
    offer(record);
  } finally {
    rest();
    part("preflight").hidden = !checked;
    if (checked) part("preflight").focus();
  }
}

function offer(record) {
  checked = record;
  const taken = record.rows - record.rejected;
  const gone = record.mirror?.missing ?? 0;
  const changes = record.created + record.updated + gone;
  const refused = record.mirror?.refused;
  let text = `Nothing has been written yet. ${numbers.format(taken)} rows can be imported.`;
  if (record.status !== "completed") text = "The check did not get to the end of the file.";
  else if (record.rows && !taken) text = "No row can be imported: what is wrong is below. Mend the file and choose it again.";
  else if (refused) text = "Nobody could be deleted with this file. Mend it, or choose “Add and update”.";
  else if (!changes) text = `Nothing would change: ${record.rejected ? "all other rows are" : "all of this is"} stored already.`;
  part("go-said").textContent = text;
  part("go").hidden = record.status !== "completed" || Boolean(refused) || !changes;
  part("go").className = gone ? "danger" : "primary";
  part("go").textContent = gone ? `Import and delete ${numbers.format(gone)} customers` : "Import now";
}

async function go() {
  const gone = checked.mirror?.missing ?? 0;
  if (gone) {
    const detail = `They are not in the file. Your other customers become those of the file. Whoever is deleted ${form.dataset.restorable}.`;
    const question = `Delete ${numbers.format(gone)} of ${numbers.format(checked.mirror.stored)} customers?`;
    if (!(await confirm(question, { yes: `Delete ${numbers.format(gone)} customers`, detail, danger: true }))) return;
  }
  part("progress").scrollIntoView({ block: "nearest" });
  try {
    const begun = await send(gone ? { confirm_missing: String(gone) } : {});
    rest(); // or the browser would ask whether to leave
    await stayWith(begun.id);
  } finally {
    if (moving) rest();
  }
}

/** Show the page of an import without leaving this one, which has the file whose rows may be refused. */
async function stayWith(id) {
  const address = `/imports/${encodeURIComponent(id)}`;
  const page = await pageOf(id).catch(() => null);
  if (!page?.querySelector("#receipt")) return location.assign(address);
  document.querySelector("main").replaceWith(document.adoptNode(page.querySelector("main")));
  document.title = page.title;
  history.pushState(null, "", address);
  addEventListener("popstate", () => location.reload());
  document.querySelector("main").focus();
  await attend();
  return offerRefused((await call("GET", `imports/${encodeURIComponent(id)}`)).body);
}

/** Offer the refused rows of a CSV file, in the place of the words why they are not to be had. */
function offerRefused(record) {
  const place = document.getElementById("refused-rows");
  if (!place || !chosen.head.delimiter) return;
  const { file, head } = chosen;
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Download the refused rows";
  button.addEventListener("click", () => once(button, async () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await refusedRows(file, head, record));
    link.download = nameOf(file);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }));
  const hint = document.createElement("p");
  hint.className = "hint";
  hint.textContent = "As they stand in your file, with the reasons in a last column. Only now: the service does not keep them.";
  place.replaceChildren(button, hint);
}

function listen() {
  const drop = form.querySelector("[data-drop]");
  part("file").addEventListener("change", () => part("file").files[0] && choose(part("file").files[0]));
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    if (!event.dataTransfer.files.length) return;
    part("file").files = event.dataTransfer.files;
    choose(event.dataTransfer.files[0]);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (chosen && !asksForColumns()) once(part("check"), check);
  });
  for (const radio of form.elements.mode) radio.addEventListener("change", forget);
  part("go").addEventListener("click", () => once(part("go"), go));
  part("cancel").addEventListener("click", () => moving?.abort());
  addEventListener("beforeunload", (event) => moving && event.preventDefault());
  addEventListener("pageshow", () => part("file")?.files[0] && !chosen && choose(part("file").files[0]));
}

if (form) listen();
