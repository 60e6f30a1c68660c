// An event stream as a public library reads it; a line of JSON on stdout for each thing that happens.
//   cd FOLDER_OF_NODE_MODULES && node client.mjs '{"library":"eventsource","url":"...","headers":{},"types":[]}'
// It ends when stdin does. Runs on node 18.
import { createRequire } from "node:module";

const asked = JSON.parse(process.argv[2]);
const load = createRequire(process.cwd() + "/");

const libraries = {
  eventsource() {
    const { EventSource } = load("eventsource");
    const withHeaders = (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...asked.headers } });
    return new EventSource(asked.url, { fetch: withHeaders });
  },

  polyfill() {
    const { EventSourcePolyfill } = load("event-source-polyfill");
    console.error = () => {}; // where it writes of every connection that ends
    return new EventSourcePolyfill(asked.url, { headers: asked.headers, ...asked.options });
  },
};

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const source = libraries[asked.library]();

source.addEventListener("open", () => say({ open: true }));
source.addEventListener("error", (e) =>
  say({ error: e.code ?? e.status ?? null, closed: source.readyState === 2 }));
for (const type of ["message", ...asked.types])
  source.addEventListener(type, (e) => say({ type: e.type, id: e.lastEventId, data: e.data }));

process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
