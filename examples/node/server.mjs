// A customer portal in plain Node: a login of its own, and Grafana panels for who is signed in.
import { createHmac, randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const { PORT = "8000", SERVICE = "http://localhost:8001", SECRET_FILE = "host-secret" } = process.env;
const SECRET = readFileSync(SECRET_FILE, "utf8").trim();
const PEOPLE = {
  vera: { login: "vera", name: "Vera Lindqvist", email: "vera@acme.example", groups: ["operators"] },
  ed: { login: "ed", name: "Ed Okafor", email: "ed@acme.example", groups: ["editors"] },
};
const sessions = new Map(); // from a cookie's value to who is signed in

const routes = {
  "GET /": ({ person }) => (person ? page("portal.html") : redirect("/login")),
  "GET /login": () => page("login.html"),
  "POST /login": ({ url }) => signIn(PEOPLE[url.searchParams.get("as")]),
  "POST /logout": ({ id }) => {
    sessions.delete(id);
    return redirect("/login");
  },
  "POST /grafana-token": ({ person }) => (person ? grafanaToken(person) : empty(401)),
};

/** Asks embedjwt for the person who is signed in here, and hands its answer through. */
async function grafanaToken(person) {
  try {
    const answer = await fetch(`${SERVICE}/v1/embed-token`, {
      method: "POST",
      headers: { Authorization: `Bearer ${bearer(person)}`, "Content-Type": "application/json" },
      body: "{}",
      signal: AbortSignal.timeout(10_000),
    });
    // 401 means that embedjwt refused our own token: signing in again would not help.
    const status = answer.status === 401 ? 502 : answer.status;
    const kept = ["Content-Type", "Retry-After"].filter((name) => answer.headers.has(name));
    const headers = Object.fromEntries(kept.map((name) => [name, answer.headers.get(name)]));
    return { status, headers, body: await answer.text() };
  } catch {
    return empty(503);
  }
}

/** A JWT that says to embedjwt who it is. The panel's token lives no longer than this one. */
function bearer(person) {
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    iss: "https://portal.acme.example",
    aud: "embedjwt",
    sub: `acme|${person.login}`,
    exp: now + 600,
    ...person,
  };
  const signed = [{ alg: "HS256", typ: "JWT" }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/** Yours asks for a password, or is a single sign-on. */
function signIn(person) {
  if (!person) return empty(400);
  const id = randomUUID();
  sessions.set(id, person);
  const cookie = `node_example=${id}; Path=/; HttpOnly; SameSite=Lax`; // and Secure, with https
  return redirect("/", { "Set-Cookie": cookie });
}

function page(file) {
  const html = readFileSync(new URL(file, import.meta.url), "utf8");
  const body = html.replaceAll("{{ service }}", SERVICE);
  return { status: 200, headers: { "Content-Type": "text/html; charset=utf-8" }, body };
}

const empty = (status) => ({ status });
const redirect = (to, headers) => ({ status: 303, headers: { Location: to, ...headers } });

async function answer(request) {
  const { method, headers } = request;
  // No other site may sign somebody in or out, or have a token made. Browsers send this header to
  // https addresses and to localhost.
  if (method === "POST" && headers["sec-fetch-site"] !== "same-origin") return empty(403);
  const url = new URL(request.url, "http://localhost");
  const id = /(?:^|; )node_example=([^;]+)/.exec(headers.cookie ?? "")?.[1];
  const route = routes[`${method} ${url.pathname}`];
  return route ? route({ url, id, person: sessions.get(id) }) : empty(404);
}

createServer(async (request, response) => {
  const { status, headers, body } = await answer(request).catch(() => empty(500));
  response.writeHead(status, { ...headers, "Cache-Control": "no-store" }).end(body);
}).listen(Number(PORT), "localhost");
