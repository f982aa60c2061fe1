// A real OpenID Connect provider with one client (us) and two people; anybody's password is right.
import Provider from "oidc-provider";

const [issuer, callback] = process.argv.slice(2);
const people = {
  ana: { email: "ana@example.com", email_verified: true, groups: ["soc"], tenants: ["acme"] },
  eve: { email: "eve@example.com", email_verified: true, groups: ["sales"] },
  mal: { email: "ana@example.com", email_verified: false, groups: ["soc"] },
};
const provider = new Provider(issuer, {
  clients: [{
    client_id: "tripmeter", client_secret: process.env.CLIENT_SECRET, redirect_uris: [callback],
    application_type: "native", token_endpoint_auth_method: "client_secret_basic",
  }],
  claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["groups", "tenants"] },
  conformIdTokenClaims: false,
  pkce: { required: () => true },
  cookies: { keys: ["a key of a test"] },
  findAccount: (_, id) => ({ accountId: id, claims: async () => ({ sub: id, ...people[id] }) }),
});
provider.listen(new URL(issuer).port, "127.0.0.1", () => console.log("listening"));
