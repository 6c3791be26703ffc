// What embedjwt.d.ts declares is what the modules are: no more, no less, nothing otherwise.
import type * as declared from "../../static/embedjwt.js"; // its types come from the .d.ts
import { createEmbed, GrafanaPanel, GrafanaTimeRange } from "../../static/embedjwt/elements.js";
import { EmbedError } from "../../static/embedjwt/errors.js";
import { texts } from "../../static/embedjwt/view.js";

export const modules: typeof declared = { createEmbed, EmbedError, GrafanaPanel, GrafanaTimeRange, texts };
