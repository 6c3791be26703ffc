// The SDK comes from the service at run time, so that it always is of one release with it. With a
// copy of static/embedjwt.js and static/embedjwt/ in src/ this would be: import { createEmbed } from "./embedjwt.js".
const sdk = import(/* @vite-ignore */ `${SERVICE}/static/embedjwt.js`);

const options = {
  service: SERVICE,
  getToken: ({ signal }) => fetch("/grafana-token", { method: "POST", signal }),
  onLoginRequired: () => location.assign("/login"),
};

/** One for the whole application; null where the service cannot be reached. */
export const embed = sdk.then(({ createEmbed }) => createEmbed(options)).catch(() => null);
