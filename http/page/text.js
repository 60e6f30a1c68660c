// Texts as people read them. Pure functions.

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const DEEPEST = 12; // levels of indentation: what is deeper stands below that

const opens = (token) => token === "{" || token === "[";
const closes = (token) => token === "}" || token === "]";

// The text of a message object's own "data", which is its last member. JSON.parse would change
// large numbers, and people want to see what was published. null: it has none.
export function rawData(object) {
  let depth = 0, before = "";
  for (const match of object.matchAll(TOKEN)) {
    const token = match[0];
    if (opens(token)) depth++;
    else if (closes(token)) depth--;
    else if (token === ":" && depth === 1 && before === '"data"')
      return object.slice(match.index + 1, object.lastIndexOf("}")).trim();
    before = token;
  }
  return null;
}

const line = (depth) => "\n" + "  ".repeat(Math.max(0, Math.min(depth, DEEPEST)));

// A JSON text over several lines, its tokens untouched. Ends early behind `most` characters.
export function pretty(json, most) {
  let out = "", depth = 0, fresh = false; // fresh: nothing stands in this level yet
  for (const [token] of json.matchAll(TOKEN)) {
    if (out.length > most) break;
    if (closes(token)) {
      depth--;
      out += (fresh ? "" : line(depth)) + token;
      fresh = false;
      continue;
    }
    out += (fresh ? line(depth) : "") + token;
    fresh = opens(token);
    if (fresh) depth++;
    else if (token === ",") out += line(depth);
    else if (token === ":") out += " ";
  }
  return out;
}

export function isJson(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

export function size(bytes) {
  if (bytes < 1024) return bytes === 1 ? "1 byte" : bytes + " bytes";
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let at = -1;
  do {
    bytes /= 1024;
    at++;
  } while (bytes >= 1024 && at < units.length - 1);
  return (bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)) + " " + units[at];
}

// The first `most` bytes as an operator's tools show them: place, hexadecimal, text.
export function hexDump(bytes, most) {
  const rows = [];
  for (let at = 0; at < Math.min(bytes.length, most); at += 8) {
    const part = [...bytes.subarray(at, Math.min(at + 8, most))];
    rows.push(at.toString(16).padStart(4, "0") + "  " +
      part.map((b) => b.toString(16).padStart(2, "0")).join(" ").padEnd(24) + " " +
      part.map((b) => (b > 31 && b < 127 ? String.fromCharCode(b) : "·")).join(""));
  }
  return rows.join("\n");
}

// One word for a shell.
export function quoted(text) {
  return "'" + text.replaceAll("'", "'\\''") + "'";
}
