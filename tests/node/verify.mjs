// Verifies a JWT with a JOSE library of another language (npm jose) through a remote JWKS.
// usage: node verify.mjs TOKEN JWKS_URL ISSUER AUDIENCE; prints {header, payload} or {error}.
import { createRemoteJWKSet, jwtVerify } from "jose";

const [token, jwksUrl, issuer, audience] = process.argv.slice(2);
try {
  const keys = createRemoteJWKSet(new URL(jwksUrl));
  const { protectedHeader, payload } = await jwtVerify(token, keys, { issuer, audience });
  console.log(JSON.stringify({ header: protectedHeader, payload }));
} catch (error) {
  console.log(JSON.stringify({ error: error.code ?? String(error) }));
}
