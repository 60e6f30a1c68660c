// The page: which topic is open, where its reader is, what the buttons do.
//
// The topic stands in the address, the place in the tab's own storage: a reload comes back to
// the topic and goes on behind the message that was shown last.

import { between, topicNames } from "./api.js";
import { prepareCopying } from "./copy.js";
import { List, ROWS_MOST } from "./list.js";
import { messageRow } from "./message.js";
import { publish, showCurl } from "./publish.js";
import { $, keepPlace, placeOf, showState, stateIs } from "./state.js";
import { Stream } from "./stream.js";

const EARLIER = 50;
const SUGGESTED = 30;
const PLACE = "topic";
let stream = null;
let reached = null; // earlier messages were asked for down to this offset; null: not yet
const list = new List($("list"), { drawn });

// ---- what is shown ----

const topicInAddress = () => new URLSearchParams(location.search).get("topic") || "";

function showCounts() {
  const shown = list.shown, start = reached === 0 || list.lowest === 0;
  $("count").textContent = list.received > shown
    ? list.received.toLocaleString() + " came; the newest " + shown + " are shown."
    : list.isFull ? "This page shows " + ROWS_MOST + " at most." : "";
  $("empty").hidden = $("list").childElementCount > 0;
  $("earlier").hidden = start || list.isFull || (!stream?.last && list.lowest === null);
}

function drawn() {
  keepPlace(PLACE, stream.topic, stream.last);
  showCounts();
}

function showTopic(topic) {
  document.title = topic + " · Sluice";
  $("topic").value = topic;
  $("topics").hidden = true;
  $("pause").hidden = $("clear").hidden = false;
  $("empty").textContent = "No message yet. What is published will be here at once.";
  showCurl(topic);
}

// ---- opening ----

const plural = (n, one, many) => n.toLocaleString() + " " + (n === 1 ? one : many);

function streamOf(topic) {
  return new Stream(topic, {
    state: showState,
    began: drawn,
    message: (text) => list.message(() => messageRow(topic, text)),
    skipped: (count, next) => list.note(plural(count, "message", "messages") + " before #" + next +
      (count === 1 ? " is" : " are") + " gone: expired or removed."),
    unknown: (id, earliest) => {
      reached = null;
      list.note("The broker has never given #" + id + " here: its store is another one. From #" +
        earliest + " on:");
    },
  });
}

// Resolves when it is known where the stream begins.
function open(topic, from) {
  const place = from === undefined ? placeOf(PLACE, topic) : null;
  stream?.close();
  list.clear();
  reached = null;
  stream = streamOf(topic);
  showTopic(topic);
  showCounts();
  if (!place) return stream.begin(from ?? $("from").value);
  stream.beginBehind(place.last);
  if (place.last !== null) list.note("Going on behind #" + place.last + ".");
  return Promise.resolve();
}

function openFromForm() {
  const topic = $("topic").value;
  if (topicInAddress() !== topic) history.pushState(null, "", "?topic=" + encodeURIComponent(topic));
  return open(topic, $("from").value);
}

function openFromAddress() {
  const topic = topicInAddress();
  if (topic) open(topic);
  else suggestTopics();
}

async function suggestTopics() {
  showCurl($("topic").value);
  const names = await topicNames(SUGGESTED).catch(() => []);
  if (stream) return;
  $("topics").replaceChildren(...names.map((name) => {
    const item = document.createElement("li"), link = document.createElement("a");
    link.textContent = name;
    link.href = "?topic=" + encodeURIComponent(name);
    item.append(link);
    return item;
  }));
  $("topics").hidden = !names.length;
}

// ---- earlier messages ----

async function showEarlier() {
  const below = reached ?? list.lowest ?? Number(stream.last) + 1;
  const from = Math.max(0, below - EARLIER), asked = stream;
  try {
    const objects = await between(asked.topic, from, below);
    if (asked !== stream) return;
    list.append(objects.map((text) => () => messageRow(asked.topic, text)));
    reached = from;
    showCounts();
  } catch (e) {
    showState($("state").dataset.kind, e);
  }
}

// ---- wiring ----

$("open").addEventListener("submit", (e) => {
  e.preventDefault();
  openFromForm();
});
$("publish").addEventListener("submit", async (e) => {
  e.preventDefault();
  if (!$("open").reportValidity()) return;
  if (stream?.topic !== $("topic").value) await openFromForm();
  publish(stream.topic);
});
$("body").addEventListener("keydown", (e) => {
  if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) $("publish").requestSubmit();
});
$("pause").addEventListener("click", () => {
  if (stateIs("paused")) stream.resume();
  else stream.pause();
});
$("clear").addEventListener("click", () => {
  list.clear();
  reached = null;
  showCounts();
});
$("earlier").addEventListener("click", showEarlier);
for (const id of ["topic", "body", "type", "key", "ttl"])
  $(id).addEventListener("input", () => showCurl($("topic").value));
addEventListener("popstate", openFromAddress);

prepareCopying();
openFromAddress();
