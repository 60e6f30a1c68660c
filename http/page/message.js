// A message of a topic as a row of the list. Nothing of it becomes markup.

import { topicPath, url } from "./api.js";
import { element } from "./list.js";
import { hexDump, isJson, pretty, rawData, size } from "./text.js";

const TEXT_MOST = 16384; // characters that are shown of one message
const BINARY_MOST = 64;  // bytes of a dump

export function clock(iso) {
  const at = new Date(iso);
  const two = (n) => String(n).padStart(2, "0");
  const time = two(at.getHours()) + ":" + two(at.getMinutes()) + ":" + two(at.getSeconds()) +
    "." + String(at.getMilliseconds()).padStart(3, "0");
  const today = at.toDateString() === new Date().toDateString();
  return today ? time : at.toLocaleDateString() + " " + time;
}

// Over several lines where it is JSON, whatever its type says: curl's -d says it is a form.
function readable(text) {
  return /^\s*[{[]/.test(text) && isJson(text) ? pretty(text, TEXT_MOST) : text;
}

// Its beginning, and a line that says so where there is more of it.
export function shownText(text) {
  const shown = readable(text);
  const parts = [element("pre", shown ? "" : "nothing", shown ? shown.slice(0, TEXT_MOST) : "empty")];
  if (shown.length > TEXT_MOST) parts.push(element("p", "quiet", "Only the beginning is shown. "));
  return parts;
}

function download(topic, offset, text) {
  const a = element("a", "download", text);
  a.href = url(topicPath(topic) + "/messages/" + offset);
  a.download = topic.replaceAll(/[^\w.-]+/g, "-") + "-" + offset; // never opened in this origin
  return a;
}

function content(topic, m, object) {
  const parts = [];
  if (m.href !== undefined) {
    parts.push(element("p", "quiet", "Large, so it is not in the stream. "));
    parts[0].append(download(topic, m.offset, "Download " + size(m.size)));
  } else if (m.data_base64 !== undefined) {
    const bytes = Uint8Array.from(atob(m.data_base64), (c) => c.charCodeAt(0));
    parts.push(element("pre", "binary", hexDump(bytes, BINARY_MOST)));
    parts.push(element("p", "quiet", "Not text: " + size(bytes.length) + ". "));
    parts[1].append(download(topic, m.offset, "Download"));
  } else {
    parts.push(...shownText(typeof m.data === "string" ? m.data : rawData(object)));
    parts[1]?.append(download(topic, m.offset, "Download"));
  }
  return parts;
}

export function messageRow(topic, object) {
  const m = JSON.parse(object);
  const row = element("li", "message");
  const head = element("div", "head");
  const time = element("time", "", clock(m.time));
  row.dataset.offset = m.offset;
  time.dateTime = m.time;
  time.title = m.time + (m.expires_at ? ", lives until " + m.expires_at : "") +
    (m.deliver_at ? ", hidden from subscriptions until " + m.deliver_at : "");
  head.append(element("span", "offset", "#" + m.offset), time, element("span", "type", m.content_type));
  if (m.key !== undefined) head.append(element("span", "key", m.key));
  for (const [name, value] of Object.entries(m.attributes || {}))
    head.append(element("span", "attribute", name + ": " + value));
  row.append(head, ...content(topic, m, object));
  return row;
}
