// The Mercure hub as this page asks it.
//
// It reads the stream with fetch and not with EventSource, which cannot send a token in a header,
// hides why it was refused, and gets only events whose names it was told before.

import { ask, Problem } from "./api.js";

const HUB = "../.well-known/mercure";
const RETRY_MS = 2000;

const bearer = (token) => (token ? { Authorization: "Bearer " + token } : {});

// Resolves with the update's id.
export async function publishUpdate(token, fields) {
  const answer = await ask(HUB, { method: "POST", headers: bearer(token), body: new URLSearchParams(fields) });
  return (await answer.text()).trim();
}

// Server-Sent Events out of text that comes in pieces.
export class Events {
  constructor(on) {
    Object.assign(this, { on, kept: "", data: [], name: "", id: null });
  }

  feed(text) {
    const lines = (this.kept + text).split(/\r\n|\n|\r(?!$)/); // a CR at the end may be half of a CRLF
    this.kept = lines.pop();
    lines.forEach((line) => this.line(line));
  }

  line(line) {
    if (line === "") {
      this.end();
      return;
    }
    const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
    if (field === "data") this.data.push(value ?? "");
    else if (field === "event") this.name = value ?? "";
    else if (field === "id") this.id = value ?? "";
    else if (field === "retry" && /^\d+$/.test(value)) this.on.retry(Number(value));
  }

  end() {
    if (this.data.length) this.on.event({ id: this.id, name: this.name || "message", data: this.data.join("\n") });
    Object.assign(this, { data: [], name: "" });
  }
}

export class HubStream {
  // on: { state(kind, problem), event({ id, name, data }), unknown(id, instead) }
  constructor(topics, token, on) {
    Object.assign(this, { topics, token, on, last: null, retry: RETRY_MS, ended: null });
  }

  // Until pause(); goes on behind `last`, over every interruption.
  async run() {
    const ended = new AbortController();
    this.ended = ended;
    this.on.state("connecting");
    while (!ended.signal.aborted) {
      const problem = await this.once(ended.signal);
      if (ended.signal.aborted) return;
      const goesOn = !problem || problem.again;
      this.on.state(!problem ? "reconnecting" : goesOn ? "waiting" : "failed", problem);
      if (!goesOn) return;
      await new Promise((resolve) => setTimeout(resolve, this.retry));
    }
  }

  pause() {
    this.close();
    this.on.state("paused");
  }

  close() {
    this.ended?.abort();
  }

  // Until the stream ends. Returns what went wrong before it began, null when it has ended.
  async once(signal) {
    const headers = { Accept: "text/event-stream", ...bearer(this.token) };
    if (this.last !== null) headers["Last-Event-ID"] = this.last;
    const query = this.topics.map((t) => "topic=" + encodeURIComponent(t)).join("&");
    try {
      const answer = await ask(HUB + "?" + query, { headers, signal });
      this.on.state("live");
      this.lookAtStart(answer.headers.get("Last-Event-ID"));
      await this.read(answer.body, signal);
      return null;
    } catch (e) {
      return e instanceof Problem ? e : null; // else the connection broke
    }
  }

  lookAtStart(before) {
    if (this.last !== null && before !== null && before !== this.last) this.on.unknown(this.last, before);
  }

  async read(body, signal) {
    const events = new Events({
      retry: (ms) => { this.retry = ms; },
      event: (e) => {
        if (e.id !== null) this.last = e.id;
        if (!signal.aborted) this.on.event(e);
      },
    });
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      events.feed(value);
    }
  }
}
