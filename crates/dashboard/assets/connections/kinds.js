// Kinds of connections: their fields, and how they go out.

const secret = (name, text) => ({ name, text, secret: true });
const open = (name, text, required = true) => ({ name, text, required });

const CLIENT = [
  open("token_url", "Token address"),
  open("client_id", "Client id"),
  secret("client_secret", "Client secret"),
  open("scopes", "Scopes, separated by blanks", false),
  { name: "headers", text: "Headers to the token address, as JSON", json: true },
];

/** By the word that the node has for each. `places`: where a key may go. */
export const KINDS = {
  "api-key": { text: "API key", fields: [secret("api_key", "API key")], places: ["", "header", "query"], out: "in a header, in the query, or where a script puts it" },
  "api-key-secret": {
    text: "API key and secret", fields: [secret("api_key", "API key"), secret("api_secret", "API secret")], places: ["", "headers"],
    out: "each in a header, or where a script puts it",
  },
  basic: { text: "User name and password", fields: [open("username", "User name"), secret("password", "Password")], places: [], out: "as Authorization: Basic" },
  bearer: { text: "Token", fields: [secret("token", "Token")], places: [], out: "as Authorization: Bearer" },
  "private-key": {
    text: "Private key", fields: [open("username", "Name of the key", false), { ...secret("private_key", "Private key, PEM"), long: true }], places: [],
    out: "never sent; scripts sign with it",
  },
  "oauth2-client-credentials": { text: "OAuth 2.0, client credentials", fields: CLIENT, places: [], out: "as Authorization: Bearer, with a token that the node fetches" },
  "oauth2-authorization-code": {
    text: "OAuth 2.0, authorized in a browser", fields: [open("authorize_url", "Authorization address"), ...CLIENT], places: [],
    out: "as Authorization: Bearer, with a token that somebody agreed to",
  },
};

/** Where a key may go, in words, and the fields that say it. */
export const PLACES = {
  "": { text: "only where a template or a script puts it", fields: [] },
  header: { text: "in a header", fields: [["header", "Header"], ["prefix", "Text before the key"]] },
  query: { text: "in the query", fields: [["query", "Parameter"]] },
  headers: { text: "in two headers", fields: [["header", "Header of the key"], ["secret_header", "Header of the secret"]] },
};

/** Which of the places a document has. */
export function placeOf(place) {
  if (!place) return "";
  if ("query" in place) return "query";
  return "secret_header" in place ? "headers" : "header";
}
