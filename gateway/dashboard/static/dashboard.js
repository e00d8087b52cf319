// For convenience only: every page works without it.

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

// A form is submitted once: of a double click only the last answer is shown, and what is shown once is in the first.
// Not by disabling the button: then its own name and value would not be sent, and the keyboard focus would be lost.
const RESUBMIT_MILLISECONDS = 10_000;
addEventListener("submit", (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  if (form.dataset.submitted) return event.preventDefault();
  form.dataset.submitted = "yes";
  setTimeout(() => { delete form.dataset.submitted; }, RESUBMIT_MILLISECONDS);
});

// <div data-once="ADDRESS">: shown once, in the answer to a form. To reload it or to come back to it leads to the
// address and submits nothing again. Links are relative to the present address: they are resolved first.
const once = document.querySelector("[data-once]");
if (once) {
  for (const link of document.querySelectorAll('a:not([href^="#"])')) link.href = link.href;
  for (const form of document.forms) form.action = form.action;
  history.replaceState(null, "", once.dataset.once);
}

// Browsers keep pages in memory, whatever their headers say.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  if (once) location.reload();
  for (const form of document.forms) delete form.dataset.submitted;
});

// <section id="ID" data-live="SECONDS">: replaced by its newest form while the page is visible, until it has no
// data-live. One request serves all sections of the page.
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
    // The network is unavailable: the next try may succeed.
  }
  keepLive();
}
keepLive();
