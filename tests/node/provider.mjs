// A real OpenID provider (npm oidc-provider) on loopback, for the tests.
// Its options are one JSON argument (tests/openid_providers.py names them). It prints one JSON
// line {port} when it is ready, and answers each line of its standard input with one; end of
// input ends it.
import { createServer } from "node:http";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createInterface } from "node:readline";
import { Provider } from "oidc-provider";
import { createMemoryAdapter } from "oidc-provider/lib/adapters/memory_adapter.js";

const options = JSON.parse(process.argv[2]);
const ALGORITHM = options.id_token_signed_response_alg;
const RESOURCE = "urn:embedjwt:tests";

const client = {
  client_id: options.client_id,
  client_secret: options.client_secret,
  redirect_uris: options.redirect_uris,
  post_logout_redirect_uris: options.post_logout_redirect_uris,
  grant_types: ["authorization_code", ...(options.refresh_tokens ? ["refresh_token"] : [])],
  id_token_signed_response_alg: ALGORITHM,
  token_endpoint_auth_method: options.token_endpoint_auth_method,
  ...(options.backchannel_logout_uri && {
    backchannel_logout_uri: options.backchannel_logout_uri,
    backchannel_logout_session_required: options.backchannel_logout_session_required,
  }),
};

const signingKey = () => ({
  ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }),
  alg: ALGORITHM,
  kid: randomUUID(),
  use: "sig",
});

const account = (id) => {
  const { password, groups, ...person } = options.people[id];
  const everywhere = { sub: id, ...person };
  return {
    accountId: id,
    claims: (use) =>
      use === "id_token" && options.groups_in === "userinfo" ? everywhere : { ...everywhere, groups },
  };
};

// Outlives the provider, whose keys cannot be changed while it runs.
const adapter = createMemoryAdapter();

const makeProvider = () =>
  new Provider(options.issuer, {
    adapter,
    clients: [client],
    claims: { openid: ["sub"], email: ["email"], profile: ["name"], groups: ["groups"] },
    scopes: ["openid", "offline_access", "email", "profile", "groups"],
    conformIdTokenClaims: false, // the claims are in the ID token, as with most providers
    features: {
      backchannelLogout: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      resourceIndicators: {
        enabled: options.access_tokens === "jwt",
        defaultResource: () => RESOURCE,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: "openid email profile groups",
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: ALGORITHM } },
        }),
      },
    },
    extraTokenClaims: (_, token) => ({ groups: options.people[token.accountId]?.groups }),
    issueRefreshToken: () => options.refresh_tokens,
    rotateRefreshToken: true,
    ...(options.first_party && { loadExistingGrant: grantEverything }),
    ttl: { IdToken: options.id_token_ttl, AccessToken: options.access_token_ttl },
    clockTolerance: 0,
    enabledJWA: { idTokenSigningAlgValues: [ALGORITHM] },
    jwks: { keys: [signingKey()] },
    cookies: { keys: ["tests only"] },
    // The one it passes refuses addresses on loopback, for logout tokens too.
    fetch: (url, { dispatcher, ...request }) => fetch(url, request),
    findAccount: (_, id) => options.people[id] && account(id),
  });

async function grantEverything({ oidc }) {
  const { Grant } = oidc.provider;
  const { clientId } = oidc.client;
  const grantId = oidc.session.grantIdFor(clientId); // of a grant that may have been revoked
  const grant =
    (grantId && (await Grant.find(grantId))) ||
    new Grant({ clientId, accountId: oidc.session.accountId });
  grant.addOIDCScope("openid offline_access email profile groups");
  grant.addResourceScope(RESOURCE, "openid email profile groups");
  await grant.save();
  return grant;
}

let answer = makeProvider().callback();
const commands = {
  rotate_keys: () => {
    answer = makeProvider().callback();
  },
};

const say = (value) => console.log(JSON.stringify(value));
const server = createServer((request, response) => answer(request, response));
server.listen(0, "127.0.0.1", () => {
  say({ port: server.address().port });
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      commands[line]();
      say({ done: true });
    })
    .on("close", () => process.exit());
});
