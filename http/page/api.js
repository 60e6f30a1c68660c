// The broker as this page asks it.

// What went wrong, in words for people. `again`: the same request may succeed later.
export class Problem extends Error {
  constructor(title, detail, { code = "", again = false, seconds = 0 } = {}) {
    super(detail ? title + ". " + detail : title);
    Object.assign(this, { title, detail, code, again, seconds });
  }
}

// Relative to the page, so that it also works where a proxy puts the broker below a path.
export function url(path) {
  return new URL(path, document.baseURI).href;
}

export function topicPath(topic) {
  return "v1/topics/" + encodeURIComponent(topic);
}

// A header may only hold bytes: those of UTF-8, as curl would send them.
export function headerText(text) {
  return String.fromCharCode(...new TextEncoder().encode(text));
}

async function problemOf(answer) {
  const seconds = Number(answer.headers.get("Retry-After")) || 0;
  const type = answer.headers.get("Content-Type") || "";
  if (type.startsWith("application/problem+json")) {
    const p = await answer.json();
    return new Problem(p.title, p.detail, { code: p.code, again: p.retryable, seconds });
  }
  if (type.startsWith("text/plain")) { // the hub's
    const wrong = /error_description="([^"]*)"/.exec(answer.headers.get("WWW-Authenticate") || "");
    return new Problem((await answer.text()).trim(), wrong ? "Of the token: " + wrong[1] + "." : "",
      { again: answer.status >= 500 || answer.status === 429, seconds });
  }
  return new Problem("The answer was " + answer.status + " " + answer.statusText, "",
    { again: answer.status >= 500, seconds });
}

// The answer when it is 2xx, else throws a Problem.
export async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(url(path), { cache: "no-store", ...options });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Problem("The broker does not answer",
      "It may have been stopped, or the network is down.", { again: true });
  }
  if (answer.ok) return answer;
  throw await problemOf(answer);
}

// The offset at which a stream starts that is to begin with `from`. It is asked for once, so
// that the stream begins at a number: what comes between two tries is not lost.
export async function startOf(topic, from) {
  try {
    const answer = await ask(topicPath(topic) + "/messages?limit=1&max_bytes=1&from=" + from);
    const page = await answer.json();
    return page.messages.length ? page.messages[0].offset : page.end;
  } catch (e) {
    if (e.code === "topic_not_found") return 0; // it may come
    throw e;
  }
}

// The messages from `from` on and before `below`, as the text of their objects. A page of the
// broker's is bounded in bytes, so they may come in several.
export async function between(topic, from, below) {
  const found = [];
  while (from < below) {
    const answer = await ask(topicPath(topic) + "/messages?from=" + from + "&limit=" + (below - from),
      { headers: { Accept: "application/x-ndjson" } });
    const objects = (await answer.text()).split("\n").filter((line) => line);
    if (!objects.length) break;
    found.push(...objects.filter((text) => JSON.parse(text).offset < below));
    from = JSON.parse(objects.at(-1)).offset + 1;
  }
  return found;
}

export async function topicNames(limit) {
  const answer = await ask("v1/topics?limit=" + limit);
  return (await answer.json()).topics.map((t) => t.topic);
}
