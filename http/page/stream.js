// One topic's event stream, from its start until it is closed, over every interruption.
//
//   connecting --open--> live --lost--> reconnecting --open--> live
//       '--refused--> failed --after a while--> connecting
//   pause() from anywhere, resume() goes on behind the last message
//
// A browser reconnects by itself when a stream ends, and says the last id in a header. It gives
// up where the answer is not 200; then this asks why, says it, and tries again with the last id
// in the query.

import { ask, Problem, startOf, topicPath, url } from "./api.js";

const AGAIN_MS = 2000;

export class Stream {
  // on: { state(kind, problem), message(text), skipped(count, next), unknown(id, earliest),
  // began() }
  constructor(topic, on) {
    Object.assign(this, { topic, on, from: null, last: null, source: null, timer: 0, run: 0 });
  }

  // Begins with "earliest", "latest" or "-20". Resolves when it is known where that is.
  async begin(from) {
    const run = ++this.run; // another one: paused or closed meanwhile
    this.from = from;
    this.on.state("connecting");
    try {
      const start = await startOf(this.topic, from);
      if (run !== this.run) return;
      this.last = start > 0 ? String(start - 1) : null;
    } catch (e) {
      if (run === this.run) this.failed(e);
      return;
    }
    this.from = null;
    this.on.began();
    this.connect();
  }

  // Goes on behind the id `last`; null: from the first message.
  beginBehind(last) {
    this.last = last;
    this.connect();
  }

  resume() {
    if (this.from !== null) this.begin(this.from);
    else this.connect();
  }

  pause() {
    this.close();
    this.on.state("paused");
  }

  close() {
    this.run++;
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  connect() {
    this.close();
    this.on.state("connecting");
    const query = this.last === null ? "from=0" : "lastEventId=" + this.last;
    const source = new EventSource(url(topicPath(this.topic) + "/messages?envelope=1&" + query));
    this.source = source;
    source.onopen = () => this.on.state("live");
    source.onerror = () => this.lost(source);
    source.onmessage = (e) => {
      this.last = e.lastEventId;
      this.on.message(e.data);
    };
    source.addEventListener("skipped", (e) => {
      this.last = e.lastEventId;
      const said = JSON.parse(e.data);
      this.on.skipped(said.skipped, said.next);
    });
    source.addEventListener("unknown", (e) => {
      const said = JSON.parse(e.data);
      this.last = said.earliest > 0 ? String(said.earliest - 1) : null;
      this.on.unknown(said.unknown, said.earliest);
    });
  }

  async lost(source) {
    if (source !== this.source) return;
    if (source.readyState === EventSource.CONNECTING) {
      this.on.state("reconnecting");
      return;
    }
    let why = new Problem("The stream was refused", "", { again: true });
    try {
      await ask(topicPath(this.topic) + "/messages?limit=1&max_bytes=1&from=latest");
    } catch (e) {
      why = e;
    }
    if (source === this.source) this.failed(why);
  }

  failed(problem) {
    const goesOn = problem.again || problem.code === "topic_not_found";
    this.close();
    this.on.state(goesOn ? "waiting" : "failed", problem);
    if (goesOn)
      this.timer = setTimeout(() => this.resume(), Math.max(AGAIN_MS, problem.seconds * 1000));
  }
}
