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

// <form data-trial="PATH" data-method="METHOD" hidden>: makes this call with the key that the reader typed. The key
// stands in its field alone, is sent to this gateway alone, and is gone when the page is left. What does not look like a
// key is not sent: a browser may have filled in a password.
const trialKey = document.getElementById("trial-key");
const TOLD_HEADERS = ["RateLimit-Policy", "RateLimit", "Retry-After", "Link", "Warning", "Preference-Applied", "X-Request-Id"];
function trialCall(form) {
  const query = new URLSearchParams();
  const headers = { Accept: "application/json", Authorization: `Bearer ${trialKey.value.trim()}` };
  let path = form.dataset.trial;
  for (const { name, value, dataset } of form.querySelectorAll("[data-in]")) {
    const given = value.trim();
    if (dataset.in === "path") path = path.replace(`{${name}}`, encodeURIComponent(given));
    else if (given && dataset.in === "query") query.set(name, given);
    else if (given) headers[name] = given;
  }
  const options = { method: form.dataset.method, headers, credentials: "omit", cache: "no-store", redirect: "error" };
  const asked = `${query}`;
  return fetch(asked ? `${path}?${asked}` : path, options);
}
function inLines(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}
async function tryOut(form) {
  const status = form.querySelector("[role=status]"), told = form.querySelector("pre");
  if (!trialKey.value.trim().startsWith("smrt_")) {
    status.textContent = "Type your API key first. It begins with smrt_.";
    return trialKey.focus();
  }
  told.hidden = true;
  status.textContent = "Sent. Waiting for the answer…";
  try {
    const answer = await trialCall(form);
    const lines = TOLD_HEADERS.filter((name) => answer.headers.has(name)).map((name) => `${name}: ${answer.headers.get(name)}`);
    told.textContent = [...lines, "", inLines(await answer.text())].join("\n");
    told.hidden = false;
    status.textContent = `Status ${answer.status} ${answer.statusText}`;
  } catch {
    status.textContent = "The call could not be made. Is the key typed right, and the gateway within reach?";
  }
}
if (trialKey) {
  for (const part of document.querySelectorAll("[data-trial], [data-trial-link]")) part.hidden = false;
  addEventListener("pagehide", () => { trialKey.value = ""; });
  addEventListener("submit", (event) => {
    const path = event.target.dataset.trial;
    if (path === undefined) return;
    event.preventDefault();
    if (path) tryOut(event.target);
  });
}
