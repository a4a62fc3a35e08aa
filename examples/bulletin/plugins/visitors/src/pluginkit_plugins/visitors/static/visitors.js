// Keeps the counts in the sidebar fresh while somebody looks at the page.

const shown = document.querySelectorAll("[data-visitors]");
const address = document.querySelector("[data-address]")?.dataset.address;

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(address);
  if (!answer.ok) return;
  const numbers = await answer.json();
  for (const element of shown) element.textContent = numbers[element.dataset.visitors];
}

if (address) setInterval(() => refresh().catch(() => {}), 15000);
