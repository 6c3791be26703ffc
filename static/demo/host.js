// What a host application does to show a Grafana panel. This is the whole of it:
//   1. ask embedjwt for a token; the browser adds our own session cookie,
//   2. put the answer's embed_url into a fresh iframe,
//   3. come back before the token ends, and swap the frames.

const RETRY_AFTER = 5000; // milliseconds, when embedjwt cannot be reached
const FADE = 300; // milliseconds, as in host.css
const PATIENCE = 10_000; // milliseconds that a frame somebody works in may stay

/** embedjwt said no: `code`, `detail` and `trace_id` of its problem document (RFC 9457). */
export class TokenRefused extends Error {
  constructor({ code, detail, trace_id: traceId }) {
    super(detail);
    Object.assign(this, { code, detail, traceId });
  }
}

/** Ask embedjwt for a token for one panel. */
export async function requestToken(service, panel) {
  const response = await fetch(`${service}/v1/embed-token`, {
    method: "POST",
    credentials: "include",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ panel }),
  });
  const answer = await response.json();
  if (response.status >= 400 && response.status < 500) throw new TokenRefused(answer);
  if (!response.ok) throw new Error(answer.detail);
  return answer;
}

/** Keep one panel alive in `element`; returns what stops, resumes and restyles it. */
export function mountPanel(element, { service, panel, title, settle, onToken, onRefused, onTrouble }) {
  let timer;
  let dueAt = Infinity;
  let run = 0; // whatever an earlier run still has under way is dropped

  async function renew() {
    const mine = ++run;
    clearTimeout(timer);
    try {
      const answer = await requestToken(service, panel);
      if (mine !== run) return;
      onToken(answer);
      comeBack(answer.refresh_in * 1000);
      await show(element, answer.embed_url, title, settle, () => mine === run);
    } catch (error) {
      if (mine !== run) return;
      if (error instanceof TokenRefused) {
        stop();
        element.replaceChildren();
        onRefused(error);
      } else {
        onTrouble(error);
        comeBack(RETRY_AFTER);
      }
    }
  }

  function comeBack(delay) {
    dueAt = Date.now() + delay;
    timer = setTimeout(renew, delay);
  }

  function stop() {
    run += 1;
    clearTimeout(timer);
    dueAt = Infinity;
  }

  // A hidden tab's timers are slow, and a sleeping computer's stand still.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && Date.now() >= dueAt) renew();
  });

  renew();
  return {
    stop,
    resume: renew,
    change(parameters) {
      Object.assign(panel, parameters);
      if (dueAt !== Infinity) renew();
    },
  };
}

/** A fresh frame under cover of the old one: assigning to a live frame's src would add history. */
async function show(element, url, title, settle, wanted) {
  const incoming = document.createElement("iframe");
  incoming.title = title;
  incoming.referrerPolicy = "no-referrer";
  incoming.inert = true;
  incoming.src = url;
  const loaded = new Promise((resolve) => incoming.addEventListener("load", resolve, { once: true }));
  element.append(incoming);
  await loaded;
  await pause(settle);
  for (let waited = 0; element.contains(document.activeElement) && waited < PATIENCE; waited += 500) await pause(500);
  if (!wanted()) return incoming.remove();
  incoming.inert = false;
  incoming.classList.add("current");
  await pause(FADE);
  for (const frame of [...element.querySelectorAll("iframe")]) {
    if (frame === incoming) break;
    frame.remove();
  }
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
