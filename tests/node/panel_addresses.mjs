// The addresses that the SDK makes of panels: node panel_addresses.mjs PATH/TO/address.js, with
// {base, panels} on standard input; prints a list of addresses, or of codes where one is refused.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { address } = await import(pathToFileURL(process.argv[2]));
const { base, panels } = JSON.parse(readFileSync(0, "utf8"));
const made = (panel) => {
  try {
    return address(base, panel, "eyJ.a-_");
  } catch (error) {
    return error.code ?? `${error}`;
  }
};
console.log(JSON.stringify(panels.map(made)));
