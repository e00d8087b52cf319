// Comfort only: every page does everything without it.

// <button data-copy="ID" hidden>: copies the text of the element with that id.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = !navigator.clipboard;
  const words = button.textContent;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = words; }, 2000);
  });
}

// What is shown once is not shown again by going back: browsers keep pages in memory, whatever their headers say.
addEventListener("pageshow", (event) => {
  if (event.persisted && document.querySelector("[data-once]")) location.reload();
});

// <section id="ID" data-live="SECONDS">: replaced by its newest form while somebody looks, until it has no data-live.
// One look at the page serves all of its sections.
function liveSections() {
  return [...document.querySelectorAll("[data-live]")];
}
function keepLive() {
  const sections = liveSections();
  if (!sections.length) return;
  setTimeout(refresh, Math.min(...sections.map((section) => Number(section.dataset.live))) * 1000);
}
async function refresh() {
  const isBusy = () => document.hidden || liveSections().some((section) => section.contains(document.activeElement));
  if (isBusy()) return keepLive();
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!answer.ok) return;
    if (isBusy()) return keepLive();
    for (const section of liveSections()) {
      const newer = page.getElementById(section.id);
      if (!newer) return;
      section.replaceWith(newer);
    }
  } catch {
    // the network is away; the next try may find it back
  }
  keepLive();
}
keepLive();
