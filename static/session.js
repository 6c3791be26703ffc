// The script of embedjwt's own login pages: says how a login ended, and opens its popup.
// Messages hold {type, status, code?} and nothing else; they go to one named origin, or nowhere.

const TYPE = "embedjwt:session";
const POPUP = "popup,width=480,height=640";

const { status, code, display, openerOrigin } = document.querySelector("main").dataset;
const channel = openChannel(); // reaches pages of this origin alone
const find = (id) => document.getElementById(id);

if (status) report();
if (find("open")) offerPopup();

function report() {
  const message = { type: TYPE, status, ...(code && { code }) };
  // Without an origin the opener can only be our own framed page.
  if (display === "popup") tell(window.opener, openerOrigin || location.origin, message);
  if (display === "iframe") tell(window.parent, openerOrigin, message);
  if (channel) channel.postMessage(message);
  if (display === "popup") leave();
}

function leave() {
  find("close").addEventListener("click", () => window.close());
  if (status === "failed") return; // the person should be able to read why
  window.close();
  setTimeout(() => {
    find("closing").hidden = true;
    find("open-still").hidden = false;
  }, 500);
}

function offerPopup() {
  const button = find("open");
  let popup = null;
  let done = false;
  button.addEventListener("click", () => {
    popup = window.open(button.dataset.login, "embedjwt-session", POPUP);
    find("blocked").hidden = popup !== null;
  });
  const heard = (message) => {
    if (done || message?.type !== TYPE || message.status !== "signed_in") return;
    done = true;
    for (const id of ["open", "waiting", "blocked"]) find(id).hidden = true;
    find("done").hidden = false;
    tell(window.parent, openerOrigin, { type: TYPE, status: "signed_in" });
  };
  if (channel) channel.addEventListener("message", ({ data }) => heard(data));
  // A frame on another site shares no channel with its popup: browsers keep storage apart.
  window.addEventListener("message", ({ origin, source, data }) => {
    if (origin === location.origin && popup !== null && source === popup) heard(data);
  });
}

// Firefox lets a frame have none where other sites may store nothing (trezor/connect#737).
function openChannel() {
  try {
    return new BroadcastChannel("embedjwt-session");
  } catch {
    return null;
  }
}

function tell(target, origin, message) {
  if (target && target !== window && origin) target.postMessage(message, origin);
}
