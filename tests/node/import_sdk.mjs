// What an import of the SDK does to a server: node import_sdk.mjs PATH/TO/embedjwt.js
import { pathToFileURL } from "node:url";

const before = new Set(Reflect.ownKeys(globalThis));
const active = process.getActiveResourcesInfo().length;
const sdk = await import(pathToFileURL(process.argv[2]));
new sdk.EmbedError("config");
console.log(JSON.stringify({
  exports: Object.keys(sdk),
  globals: Reflect.ownKeys(globalThis).filter((name) => !before.has(name)).map(String),
  active: process.getActiveResourcesInfo().slice(active),
}));
