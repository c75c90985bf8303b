// Finds the columns in the head of a file, so that somebody can say which is which. What counts is how the service reads
// the file: the check before the import tells that.

const HEAD_BYTES = 65536;
const DELIMITERS = [",", ";", "\t", "|"];

/** Return what is compared of a column's name, as the service does. */
export function fold(name) {
  return name.normalize("NFC").replace(/[\s_./\ufeff-]+/g, "").toUpperCase();
}

/**
 * Return the head of a file: the names of its columns, null where they cannot be read here (Parquet); of CSV also what
 * separates the cells, and the line of the names.
 */
export async function headOf(file, type, known) {
  if (type.includes("parquet")) return { names: null };
  const text = (await file.slice(0, HEAD_BYTES).text()).replace(/^\ufeff/, "");
  const lines = [...text.split(/\r\n|\n|\r/).entries()].filter(([, line]) => line.trim());
  if (type.includes("ndjson")) return { names: keys(lines[0][1]) };
  let best = { names: [] };
  for (const [place, line] of lines.slice(0, 20)) {
    for (const delimiter of DELIMITERS) {
      const names = cells(line, delimiter);
      if (!best.names.length || value(names, known) > value(best.names, known)) best = { names, delimiter, line: place + 1 };
    }
  }
  return best;
}

/** Return which column of the file each known column is read from, by its name; none where nothing fits. */
export function recognised(names, columns) {
  const folded = names.map(fold);
  const found = {};
  for (const column of columns) {
    for (const name of column.names) {
      const place = folded.indexOf(name);
      if (place >= 0 && found[column.name] === undefined) found[column.name] = names[place];
    }
  }
  return found;
}

/** Return the API's parameter that says so: COLUMN:NAME, with commas between, in quotes where a name has one. */
export function mapping(pairs) {
  return pairs.map(([column, name]) => quoted(`${column}:${name}`)).join(",");
}

function quoted(part) {
  return /[",]/.test(part) ? `"${part.replaceAll('"', '""')}"` : part;
}

// The best cut has most known names; without any, most names.
function value(names, known) {
  return names.filter((name) => known.has(fold(name))).length * 1000 + Math.min(names.length, 999);
}

function keys(line) {
  try {
    return Object.keys(JSON.parse(line));
  } catch {
    return [];
  }
}

/** Return the cells of a line of CSV. */
export function cells(line, delimiter) {
  const found = [];
  let cell = "";
  let inside = false;
  for (let place = 0; place < line.length; place += 1) {
    const sign = line[place];
    if (sign === '"' && inside && line[place + 1] === '"') {
      cell += '"';
      place += 1;
    } else if (sign === '"') inside = !inside;
    else if (sign === delimiter && !inside) {
      found.push(cell.trim());
      cell = "";
    } else cell += sign;
  }
  return [...found, cell.trim()];
}
