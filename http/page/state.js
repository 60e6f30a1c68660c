// What both pages say of their stream, and where they keep its place: in the tab's own storage.

export const $ = (id) => document.getElementById(id);

const STATES = {
  connecting: "Connecting…", live: "Live", reconnecting: "Reconnecting…", paused: "Paused",
  waiting: "Trying again…", failed: "Stopped",
};

export function showState(kind, problem) {
  $("state").dataset.kind = kind;
  $("state").textContent = STATES[kind];
  $("pause").textContent = kind === "paused" ? "Go on" : "Pause";
  $("trouble").hidden = !problem;
  $("trouble").textContent = problem ? problem.message : "";
}

// What became of a publish: "good", "bad", or "" while it is not known.
export function sayResult(kind, text) {
  $("result").className = kind;
  $("result").textContent = text;
}

export const stateIs = (kind) => $("state").dataset.kind === kind;

// One for each page: `of` says of which stream it is.
export function keepPlace(page, of, last) {
  try {
    sessionStorage.setItem("sluice-" + page, JSON.stringify({ of, last }));
  } catch {
    // without storage a reload begins anew
  }
}

// { last } where the last stream was this one, else null.
export function placeOf(page, of) {
  try {
    const place = JSON.parse(sessionStorage.getItem("sluice-" + page));
    return place?.of === of ? place : null;
  } catch {
    return null;
  }
}
