// Texts as people read them. Pure functions.

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g;
const ONE_LINE = 60; // characters: what is not longer is not broken
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

// For each opening bracket whose content is short: the place of the closing one.
function shortEnds(tokens) {
  const ends = new Map(), open = [];
  let at = 0;
  tokens.forEach((token, i) => {
    if (opens(token)) open.push([i, at]);
    at += token.length;
    if (!closes(token) || !open.length) return;
    const [begin, from] = open.pop();
    if (at - from <= ONE_LINE) ends.set(begin, i);
  });
  return ends;
}

// A JSON text over several lines, its tokens untouched, of what is long; about `most` characters.
export function pretty(json, most) {
  const tokens = json.slice(0, 2 * most).match(TOKEN) || [], ends = shortEnds(tokens);
  let out = "", depth = 0, flat = -1; // flat: all up to this token stands in one line
  let fresh = false;                  // nothing stands in this level yet
  for (let i = 0; i < tokens.length && out.length <= most; i++) {
    const token = tokens[i], inLine = i <= flat;
    if (closes(token) && !inLine) depth--;
    if (fresh !== closes(token) && !inLine) out += line(depth);
    out += token;
    fresh = opens(token) && !inLine && !ends.has(i);
    if (fresh) depth++;
    else if (opens(token) && !inLine) flat = ends.get(i);
    else if (token === ":" || (token === "," && inLine)) out += " ";
    else if (token === ",") out += line(depth);
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
