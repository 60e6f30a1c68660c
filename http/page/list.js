// The rows of a list, the newest first. All that comes from a message is set as textContent.
//
// Bounded, whatever comes: so many rows, and so much text in each (message.js). What comes faster
// than the browser draws is kept until then, at most as many as there may be rows.

export const ROWS_MOST = 200;
const DRAW_MS = 50;

export function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

export class List {
  // on.drawn: the rows that have come are there. Those of messages have the class "message".
  constructor(list, on) {
    Object.assign(this, { list, on, queue: [], timer: 0, received: 0 });
  }

  clear() {
    clearTimeout(this.timer);
    Object.assign(this, { queue: [], timer: 0, received: 0 });
    this.list.replaceChildren();
  }

  // `make` makes its row, when it is drawn: what is not drawn costs no elements.
  message(make) {
    this.received++;
    this.add(make);
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
  append(makes) {
    for (const make of makes.reverse())
      if (!this.isFull) this.list.append(make());
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
