// The list of messages, the newest first. All that comes from a message is set as textContent.
//
// Bounded, whatever comes: so many rows, and so much text in each. What comes faster than the
// browser draws is kept until then, at most as many as there may be rows.

import { topicPath, url } from "./api.js";
import { hexDump, isJson, pretty, rawData, size } from "./text.js";

export const ROWS_MOST = 200;
const TEXT_MOST = 16384; // characters
const BINARY_MOST = 64;  // bytes of a dump
const DRAW_MS = 50;

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

function clock(iso) {
  const at = new Date(iso);
  const two = (n) => String(n).padStart(2, "0");
  const time = two(at.getHours()) + ":" + two(at.getMinutes()) + ":" + two(at.getSeconds()) +
    "." + String(at.getMilliseconds()).padStart(3, "0");
  const today = at.toDateString() === new Date().toDateString();
  return today ? time : at.toLocaleDateString() + " " + time;
}

// Over several lines where it is JSON, whatever its type says: curl's -d says it is a form.
function readable(m, object) {
  const text = typeof m.data === "string" ? m.data : rawData(object);
  return /^\s*[{[]/.test(text) && isJson(text) ? pretty(text, TEXT_MOST) : text;
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
    const text = readable(m, object);
    parts.push(element("pre", text ? "" : "nothing", text ? text.slice(0, TEXT_MOST) : "empty"));
    if (text.length > TEXT_MOST) {
      parts.push(element("p", "quiet", "Only the beginning is shown. "));
      parts[1].append(download(topic, m.offset, "Download"));
    }
  }
  return parts;
}

function messageRow(topic, object) {
  const m = JSON.parse(object);
  const row = element("li", "message");
  const head = element("div", "head");
  const time = element("time", "", clock(m.time));
  row.dataset.offset = m.offset;
  time.dateTime = m.time;
  time.title = m.time + (m.expires_at ? ", lives until " + m.expires_at : "");
  head.append(element("span", "offset", "#" + m.offset), time, element("span", "type", m.content_type));
  if (m.key !== undefined) head.append(element("span", "key", m.key));
  for (const [name, value] of Object.entries(m.attributes || {}))
    head.append(element("span", "attribute", name + ": " + value));
  row.append(head, ...content(topic, m, object));
  return row;
}

export class List {
  // on.drawn: the rows that have come are there
  constructor(list, on) {
    Object.assign(this, { list, on, queue: [], timer: 0, received: 0 });
  }

  clear() {
    clearTimeout(this.timer);
    Object.assign(this, { queue: [], timer: 0, received: 0 });
    this.list.replaceChildren();
  }

  message(topic, object) {
    this.received++;
    this.add(() => messageRow(topic, object));
  }

  note(text) {
    this.add(() => element("li", "note", text));
  }

  add(make) {
    this.queue.push(make);
    if (this.queue.length > ROWS_MOST) this.queue.shift();
    this.timer ||= setTimeout(() => this.draw(), DRAW_MS);
  }

  draw() {
    const rows = this.queue.map((make) => make()).reverse();
    Object.assign(this, { queue: [], timer: 0 });
    this.list.prepend(...rows);
    while (this.list.childElementCount > ROWS_MOST) this.list.lastElementChild.remove();
    this.on.drawn();
  }

  // Older ones, in their order, below all others; as many as there is place for.
  append(topic, objects) {
    for (const object of objects.reverse())
      if (!this.isFull) this.list.append(messageRow(topic, object));
  }

  get isFull() {
    return this.list.childElementCount >= ROWS_MOST;
  }

  // The lowest offset that is shown; null: none.
  get lowest() {
    const rows = this.list.querySelectorAll(".message");
    return rows.length ? Number(rows[rows.length - 1].dataset.offset) : null;
  }

  get shown() {
    return this.list.querySelectorAll(".message").length;
  }
}
