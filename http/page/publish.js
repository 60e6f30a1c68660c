// The form to publish with, and the curl commands that do the same.

import { ask, headerText, topicPath, url } from "./api.js";
import { $, sayResult } from "./state.js";
import { isJson, quoted } from "./text.js";

const LONG_MS = 3000;

function fields() {
  return { body: $("body").value, type: $("type").value.trim(),
    key: $("key").value, ttl: $("ttl").value.trim() };
}

function headersOf(f) {
  const headers = {};
  if (f.type) headers["Content-Type"] = f.type;
  if (f.key) headers["Message-Key"] = f.key;
  if (f.ttl) headers.TTL = f.ttl;
  return headers;
}

export function showCurl(topic) {
  const messages = url(topicPath(topic) + "/messages");
  const f = fields();
  const headers = Object.entries(headersOf({ ...f, type: f.type || "application/octet-stream" }));
  const lines = headers.map(([name, value]) => "-H " + quoted(name + ": " + value));
  lines.push("--data-raw " + quoted(f.body), quoted(messages));
  $("curl-publish").textContent = "curl " + lines.join(" \\\n  ");
  $("curl-stream").textContent = "curl -N -H 'Accept: text/event-stream' \\\n  " + quoted(messages);
  $("curl-read").textContent = "curl " + quoted(messages + "?from=-20");
}

// A browser has six connections to a broker, and each of its tabs keeps one for its stream.
function sayWhyItTakesLong() {
  sayResult("", "Still waiting. The broker may have no room just now, or other tabs of this browser " +
    "have all of its connections to it.");
}

export async function publish(topic) {
  const f = fields();
  const headers = {};
  for (const [name, value] of Object.entries(headersOf(f))) headers[name] = headerText(value);
  const body = new TextEncoder().encode(f.body); // bytes: a string would bring a type of its own
  const timer = setTimeout(sayWhyItTakesLong, LONG_MS);
  sayResult("", "Publishing…");
  try {
    const answer = await ask(topicPath(topic) + "/messages", { method: "POST", headers, body });
    const said = await answer.json();
    const hint = /[/+]json/i.test(f.type) && !isJson(f.body) ? ", though it is not valid JSON" : "";
    sayResult("good", "On disk as #" + said.offset + hint + ".");
  } catch (e) {
    sayResult("bad", e.message);
  } finally {
    clearTimeout(timer);
  }
}
