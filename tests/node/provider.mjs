// A real OpenID provider (npm oidc-provider) on loopback, for the tests.
// Prints one JSON line {issuer, client_id, client_secret, redirect_uri} when it is ready.
import { createServer } from "node:http";
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const client = {
  client_id: "embedjwt-tests",
  client_secret: "a secret of the tests, known to all",
  redirect_uris: ["https://app.example.com/callback"],
};

const people = {
  vera: { email: "vera@example.com", name: "Vera Viewer", groups: ["everyone"] },
  ada: { email: "ada@example.com", name: "Ada Admin", groups: ["everyone", "admins"] },
};

const signingKey = (type, options, alg, kid) => ({
  ...generateKeyPairSync(type, options).privateKey.export({ format: "jwk" }),
  alg,
  kid,
  use: "sig",
});

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [client],
    claims: { openid: ["sub"], email: ["email"], profile: ["name"], groups: ["groups"] },
    scopes: ["openid", "email", "profile", "groups"],
    conformIdTokenClaims: false, // the claims are in the ID token, as with most providers
    pkce: { required: () => false },
    jwks: { keys: [signingKey("rsa", { modulusLength: 2048 }, "RS256", "provider-key-1")] },
    cookies: { keys: ["tests only"] },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  });
  server.on("request", provider.callback());
  console.log(JSON.stringify({ issuer, ...client, redirect_uri: client.redirect_uris[0] }));
});
