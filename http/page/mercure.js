// The page of the Mercure hub. The selectors stand in the address, so a reload subscribes again,
// behind the update that was shown last. Tokens are kept nowhere: they are secrets.

import { url } from "./api.js";
import { prepareCopying } from "./copy.js";
import { HubStream, publishUpdate } from "./hub.js";
import { element, List } from "./list.js";
import { clock, shownText } from "./message.js";
import { $, keepPlace, placeOf, sayResult, showState, stateIs } from "./state.js";
import { quoted } from "./text.js";

const PLACE = "mercure";
let stream = null;
const list = new List($("list"), { drawn });

const words = (text, apart) => text.split(apart).map((t) => t.trim()).filter((t) => t);
const selectors = () => words($("selectors").value, /\s+/);

// ---- what is shown ----

function updateRow(e, came) {
  const row = element("li", "message"), head = element("div", "head");
  const time = element("time", "", clock(came));
  row.dataset.id = e.id;
  time.title = "when it came to this page";
  head.append(element("span", "offset", e.id), time);
  if (e.name !== "message") head.append(element("span", "type", e.name));
  row.append(head, ...shownText(e.data));
  return row;
}

function drawn() {
  keepPlace(PLACE, stream.topics.join(" "), stream.last);
  showCounts();
}

function showCounts() {
  const shown = list.shown;
  $("empty").hidden = $("list").childElementCount > 0;
  $("count").textContent = list.received > shown
    ? list.received.toLocaleString() + " came; the newest " + shown + " are shown." : "";
}

function showCurl() {
  const hub = url("../.well-known/mercure"), token = '-H "Authorization: Bearer $TOKEN"';
  const lines = [...new URLSearchParams(fields())].map(([name, value]) => "--data-urlencode " + quoted(name + "=" + value));
  $("curl-publish").textContent = ["curl " + token, ...lines, quoted(hub)].join(" \\\n  ");
  const query = selectors().map((t) => "topic=" + encodeURIComponent(t)).join("&");
  $("curl-subscribe").textContent = "curl -N " + ($("token").value ? token + " \\\n  " : "") + quoted(hub + "?" + query);
}

// ---- subscribing ----

function subscribe(place) {
  const topics = selectors();
  stream?.close();
  list.clear();
  stream = new HubStream(topics, $("token").value.trim(), {
    state: showState,
    event: (e) => {
      const came = new Date().toISOString();
      list.message(() => updateRow(e, came));
    },
    unknown: (id) => list.note("The hub does not know " + id + " here. It begins with what it has."),
  });
  stream.last = place?.last ?? null;
  $("pause").hidden = $("clear").hidden = false;
  $("empty").textContent = "No update yet. What is published will be here at once.";
  if (stream.last !== null) list.note("Going on behind " + stream.last + ".");
  showCounts();
  stream.run();
}

function subscribeFromAddress() {
  const topics = new URLSearchParams(location.search).getAll("topic");
  if (!topics.length) return;
  $("selectors").value = topics.join(" ");
  subscribe(placeOf(PLACE, topics.join(" ")));
}

// ---- publishing ----

function fields() {
  const all = words($("topics").value, "\n").map((topic) => ["topic", topic]);
  all.push(["data", $("data").value]);
  if ($("id").value) all.push(["id", $("id").value]);
  if ($("type").value) all.push(["type", $("type").value]);
  if ($("private").checked) all.push(["private", "on"]);
  return all;
}

async function publish() {
  sayResult("", "Publishing…");
  try {
    const id = await publishUpdate($("publisher-token").value.trim() || $("token").value.trim(), fields());
    sayResult("good", "On disk as " + id + ".");
  } catch (e) {
    sayResult("bad", e.message);
  }
}

// ---- wiring ----

$("open").addEventListener("submit", (e) => {
  e.preventDefault();
  history.pushState(null, "", "?" + new URLSearchParams(selectors().map((t) => ["topic", t])));
  subscribe(null);
});
$("publish").addEventListener("submit", (e) => {
  e.preventDefault();
  publish();
});
$("pause").addEventListener("click", () => {
  if (stateIs("paused")) stream.run();
  else stream.pause();
});
$("clear").addEventListener("click", () => {
  list.clear();
  showCounts();
});
for (const id of ["selectors", "token", "topics", "data", "id", "type", "private"])
  $(id).addEventListener("input", showCurl);
addEventListener("popstate", subscribeFromAddress);

prepareCopying();
showCurl();
subscribeFromAddress();
