// Suggests titles while one types, and lets "/" jump to the search box.
"use strict";

const box = document.querySelector("#search-query");
const list = document.querySelector("#search-suggestions");
let waiting = 0;

async function suggest(query) {
  const address = new URL(box.dataset.suggestions, location.href);
  address.searchParams.set("q", query);
  const answer = await fetch(address);
  if (!answer.ok || box.value !== query) return;
  const options = (await answer.json()).map((title) => new Option(title, title));
  list.replaceChildren(...options);
}

box?.addEventListener("input", () => {
  clearTimeout(waiting);
  const query = box.value;
  if (query.trim()) waiting = setTimeout(() => suggest(query).catch(() => {}), 200);
});

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select");
  if (event.key === "/" && box && !isTyping) {
    event.preventDefault();
    box.focus();
  }
});
