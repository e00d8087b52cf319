// Start a sync and wait for its end. Needs Node 18, and API_KEY and CONNECTION in the environment.
// Exit status 0: it succeeded.
const url = `https://gateway.example.com/api/v1/connections/${process.env.CONNECTION}`;
const headers = { Authorization: `Bearer ${process.env.API_KEY}`, Prefer: "wait=60" };
const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

function giveUp(text) {
  console.error(text);
  process.exit(1);
}

// Return the answer; its status is 0 if there was none. Wait while the gateway is busy.
async function call(path, method = "GET") {
  for (;;) {
    try {
      const answer = await fetch(url + path, { method, headers, signal: AbortSignal.timeout(90_000) });
      const text = await answer.text();
      if (answer.status !== 429 && answer.status !== 503) {
        return { status: answer.status, headers: answer.headers, text };
      }
      await pause(Number(answer.headers.get("Retry-After") ?? 5));
    } catch (error) {
      return { status: 0, headers: new Headers(), text: String(error) };
    }
  }
}

// Return the id of the newest sync, to recognise ours if the answer to its start is lost.
async function newest() {
  for (;;) {
    const { status, text } = await call("/jobs?limit=1");
    if (status === 200) return JSON.parse(text).data[0]?.jobId ?? 0;
    if (![0, 502, 504].includes(status)) giveUp(`HTTP ${status}: ${text}`);
    await pause(5);
  }
}

async function start() {
  const before = await newest();
  for (;;) {
    const { status, text } = await call("/sync", "POST");
    if (status === 200) return JSON.parse(text).job.jobId;
    if (![0, 502, 504].includes(status)) giveUp(`HTTP ${status}: ${text}`);
    // A sync may have started or not: look before starting again.
    await pause(5);
    const now = await newest();
    if (now > before) return now;
  }
}

async function end(jobId) {
  for (;;) {
    const { status, headers: told, text } = await call(`/jobs/${jobId}`);
    if (status === 200) {
      const { job } = JSON.parse(text);
      if (["succeeded", "failed", "cancelled"].includes(job.status)) return job;
      if (!told.has("Preference-Applied")) await pause(10); // answered at once: too many of your calls wait
    } else if ([0, 502, 504].includes(status)) {
      await pause(10);
    } else {
      giveUp(`HTTP ${status}: ${text}`);
    }
  }
}

const job = await end(await start());
if (job.status !== "succeeded") {
  giveUp(`Sync ${job.jobId} ${job.status}: ${job.failure?.message ?? "no reason is known"}`);
}
console.log(`Sync ${job.jobId} succeeded: ${job.rowsSynced} rows`);
