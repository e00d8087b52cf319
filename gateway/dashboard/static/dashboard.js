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

// <time datetime="…" data-moment>: shown in the reader's own time zone, with UTC beside it. The tooltip of any other
// time says the same.
const DAY = { day: "numeric", month: "short", year: "numeric" };
const MINUTE = { ...DAY, hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
function localTime(moment) {
  const utc = moment.toLocaleString("en-GB", { ...MINUTE, timeZone: "UTC" });
  const isSameDay = moment.toLocaleString("en-GB", DAY) === moment.toLocaleString("en-GB", { ...DAY, timeZone: "UTC" });
  return `${moment.toLocaleString("en-GB", MINUTE)} (${isSameDay ? utc.split(", ")[1] : utc})`;
}
function showLocalTimes(root) {
  for (const time of root.querySelectorAll('time[datetime$="Z"]:not([data-local])')) {
    const moment = new Date(time.dateTime);
    if (!moment.getTimezoneOffset()) continue;
    time.dataset.local = "";
    if ("moment" in time.dataset) time.textContent = localTime(moment);
    else time.title = localTime(moment);
  }
}
showLocalTimes(document);

// <section id="ID" data-live="SECONDS">: replaced by its newest form while the page is visible, until it has no
// data-live. One request serves all sections of the page. After an hour the reader is asked: a window that was forgotten
// must not go on for ever. The link with the id "refresh" does the same by hand.
const LIVE_MILLISECONDS = 3_600_000;
let liveUntil = Date.now() + LIVE_MILLISECONDS;
function liveSections() {
  return [...document.querySelectorAll("[data-live]")];
}
function keepLive() {
  const sections = liveSections();
  const byHand = document.getElementById("refresh");
  if (byHand) byHand.hidden = !sections.length || Date.now() < liveUntil;
  if (!sections.length || Date.now() >= liveUntil) return;
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
    showLocalTimes(page);
    for (const section of liveSections()) {
      const newer = page.getElementById(section.id);
      if (!newer) return;
      // What has not changed stays: screen readers would read it again.
      if (!section.isEqualNode(newer)) section.replaceWith(newer);
    }
  } catch {
    // The network is unavailable: the next try may succeed.
  }
  keepLive();
}
keepLive();
