// The board follows the journal: whenever something changed the page is made anew on the server, and its figures are swapped in.
// They may be some seconds old (many watch): it asks again until they hold what it was told of. Not while somebody is in the middle of them (focus or a selection), and not while it is paused.
"use strict";
const regions = [...document.querySelectorAll("[data-live]")];
const pause = document.getElementById("pause");
const connection = document.getElementById("connection");
const AGES_GO_ON_MS = 30000;
const AGAIN_MS = 1000;
let known = 0;  // the journal position that the views have come to
let again;
let stale = false;
let busy = false;

const isPaused = () => pause.getAttribute("aria-pressed") === "true";
const isInUse = () => regions.some((region) => region.contains(document.activeElement)) || !getSelection().isCollapsed;

const isBehind = () => Number(document.getElementById("position").textContent) < known;

async function refresh() {
  stale = true;
  if (busy || isPaused() || isInUse()) return;
  busy = true;
  try {
    while (stale) {
      stale = false;
      const answer = await fetch(location.href);
      if (answer.redirected || answer.status === 401) return location.reload();  // signed out
      if (!answer.ok) throw new Error(answer.status);
      const made = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const region of regions) region.replaceChildren(...made.getElementById(region.id).childNodes);
    }
    connection.textContent = "";
    clearTimeout(again);
    if (isBehind()) again = setTimeout(refresh, AGAIN_MS);
  } catch {
    connection.textContent = pause.dataset.lost;
  } finally {
    busy = false;
  }
}

if (regions.length) {
  const events = new EventSource("/board/events");
  events.addEventListener("changed", (event) => {
    known = Number(event.data);
    if (isBehind()) refresh();
  });
  events.onerror = () => { connection.textContent = pause.dataset.lost; };
  events.onopen = () => { connection.textContent = ""; };
  setInterval(refresh, AGES_GO_ON_MS);
  document.addEventListener("focusout", () => setTimeout(() => stale && refresh()));
  document.addEventListener("selectionchange", () => stale && refresh());
  pause.hidden = false;
  pause.addEventListener("click", () => {
    pause.setAttribute("aria-pressed", String(!isPaused()));
    if (stale) refresh();
  });
}
