/**
 * embedjwt's browser SDK: Grafana panels in any page, within the session a person already has.
 *
 * Times named `…In` are seconds from now; `from` and `to` are Grafana's (`now-6h`, milliseconds
 * since 1970 or ISO 8601).
 */

export interface EmbedOptions {
  /** embedjwt's base URL. */
  service: string;
  /** The name of a `[[grafana]]`; without it the first. */
  grafana?: string;
  /**
   * How frames get in: `gateway` by a cookie on Grafana's host, `url` by a token in the frame's
   * address. `auto` (the default) does what the Grafana is configured for; the event `grant` says which.
   */
  mode?: "auto" | "gateway" | "url";
  /**
   * Where grants come from, instead of `service`. May return the `fetch` to your own backend as it
   * is: embedjwt's answer passed through, and refusals by status. Called once at a time for all
   * panels of a Grafana.
   */
  getToken?: (request: GrantRequest) => Promise<Grant | Response>;
  /** Header fields for requests to `service`, such as `{ Authorization: "Bearer …" }`. */
  headers?: () => Record<string, string> | Promise<Record<string, string>>;
  /**
   * The person has to sign in to your application, or once more. All panels try again when this
   * returns true or a promise of it, when the page gets the focus back, or on `retry()`.
   */
  onLoginRequired?: (error: EmbedError) => unknown;
  /** Hears everything: see {@link EmbedEvent}. */
  onEvent?: (event: EmbedEvent) => void;
  /** Milliseconds that a fresh panel may draw before it takes the old one's place. 2500. */
  settle?: number;
}

export interface GrantRequest {
  /** Aborted when nobody waits any more, and after 20 seconds. */
  signal: AbortSignal;
  reason: "first" | "refresh" | "retry" | "frame";
  scope: { grafana?: string; mode: "auto" | "gateway" | "url" };
}

/** embedjwt's own answers fit, in snake_case; relative life counts, clocks may be wrong. */
export interface Grant {
  /** URL mode: the embed token, of `POST /v1/embed-token`. Never parsed, stored or logged. */
  token?: string;
  /** Gateway mode: the ticket, and where to redeem it, of `POST /gateway/session`. */
  ticket?: string;
  sessionUrl?: string;
  session_url?: string;
  /** Seconds. */
  expiresIn?: number;
  expires_in?: number;
  /** Unix time by which the clock's skew is measured. */
  serverTime?: number;
  server_time?: number;
  /** Where Grafana is. */
  grafana?: { url: string; name?: string; mode?: "gateway" | "url" };
}

export interface PanelOptions {
  /** The dashboard's uid. */
  dashboard: string;
  /** The panel's id, `3` or `"panel-3"`; without it the whole dashboard. */
  panel?: number | string;
  slug?: string;
  orgId?: number | string;
  from?: number | string;
  to?: number | string;
  timezone?: string;
  /** Grafana's own interval of queries, such as `30s`. */
  refresh?: string;
  /** `auto` follows the person's system, within 5 seconds. */
  theme?: "light" | "dark" | "auto" | "";
  vars?: Variables;
  hideTimePicker?: boolean;
  hideVariables?: boolean;
  /** What screen readers say of the frame. Name it after what the panel shows. */
  title?: string;
  /** `lazy` (the default) waits until the panel is near what is seen. */
  loading?: "lazy" | "eager";
}

export type Variables = Record<string, string | number | boolean | (string | number | boolean)[]>;

export type State =
  | "idle" | "authorizing" | "loading" | "ready" | "refreshing" | "expired" | "error";

export type Code =
  /** Nobody is signed in, or no longer. */
  | "login_required"
  /** This person may not see this. */
  | "forbidden"
  /** Something in the page's or the service's settings is wrong; the message says what. */
  | "config"
  /** The service cannot be reached. */
  | "network"
  /** Nobody answered in time. */
  | "timeout"
  /** Too many requests. */
  | "rate_limited"
  /** The service, or what it stands on, does not work for the moment. */
  | "unavailable"
  /** The browser keeps the gateway's cookie back. */
  | "cookies_blocked"
  /** The browser or Grafana forbids the frame. */
  | "frame_blocked"
  /** Grafana does not accept the token. */
  | "grafana_unauthorized";

export class EmbedError extends Error {
  constructor(code: Code, message?: string, more?: Partial<EmbedError>);
  code: Code;
  /** Whether it is tried again without anybody's doing. */
  retryable: boolean;
  /** The HTTP status, if there was an answer. */
  status?: number;
  /** The service's own code (docs/errors.md), finer than `code`. */
  reason?: string;
  /** Finds the request in the service's log. */
  traceId?: string;
  /** Seconds that the answer asked us to wait. */
  retryAfter?: number;
}

export type EmbedEvent =
  | { type: "state"; state: State; panel: Panel }
  /**
   * A new grant: by which way frames get in, and `why` (it was `asked for`, or is `configured` so);
   * `skew` is how many seconds this computer's clock is ahead of the service's.
   */
  | { type: "grant"; mode: "gateway" | "url"; why: string; expiresIn: number; skew: number; reason: string }
  /** `panel` is missing where it concerns all of them. */
  | { type: "error"; error: EmbedError; panel?: Panel };

/** One person's panels of one service. */
export interface Embed {
  /** Show a panel in `element`, which needs a size. Ends with `panel.destroy()`. */
  mount(element: HTMLElement, options: PanelOptions): Panel;
  /** For all panels, those to come as well, until something else is said. `to` is `now` by default. */
  setTimeRange(from: number | string, to?: number | string): void;
  setTheme(theme: "light" | "dark" | "auto"): void;
  /** On top of the variables that panels have themselves. */
  setVariables(vars: Variables): void;
  /** Try again now whatever has failed. */
  retry(): void;
  /** End the session for panels, here and at the service. Panels are gone until `retry()`. */
  logout(): Promise<void>;
  /** Take everything away again. */
  destroy(): void;
}

export interface Panel {
  readonly state: State;
  /** Why the state is `error` or `expired`. */
  readonly error: EmbedError | null;
  /** Where it was mounted. */
  readonly element: HTMLElement;
  /** Change some of the options; the panel goes over to them without going blank. */
  update(options: Partial<PanelOptions>): void;
  /** Load the frame afresh. */
  reload(): void;
  destroy(): void;
}

/**
 * Begin to show panels of a service. Elements of this page that name the same `service` (and
 * `grafana`) use it as well. The latest that was created counts.
 */
export function createEmbed(options: EmbedOptions): Embed;

/**
 * What people read; replace what you like: `Object.assign(texts, { retry: "Erneut" })`. Codes without
 * a text have that of `unavailable` where they are retryable, of `config` where not; besides codes there
 * are `expired`, `retry`, `range` and `last` ("Last {}", of time ranges).
 */
export const texts: Record<string, string>;

/**
 * `<grafana-panel service dashboard panel from to theme refresh vars … frame-title loading>`.
 *
 * Its attributes are {@link PanelOptions} in kebab-case (`frame-title` is `title`), and `service`,
 * `grafana`, `mode`. The state is in the attribute `state`. Parts: `frame`, `skeleton`, `card`,
 * `message`, `retry`, `trace`. Events: `embedjwt-state`, `embedjwt-error`, with {@link EmbedEvent}
 * in `detail`.
 */
export class GrafanaPanel extends HTMLElement {
  /** Set it before the element is in the page, to have it shown by an embed that is not its service's. */
  embed?: Embed;
  /** What is shown, while it is in the page. */
  readonly mounted: Panel | undefined;
  /** The service of elements that name none: the one that this file is from. */
  static service: string;
}

/**
 * `<grafana-time-range for="cpu memory" from="now-6h" ranges="now-1h now-6h">`: a choice of time ranges for the panels with
 * these ids, or for all of the page. Tells in the event `change`.
 */
export class GrafanaTimeRange extends HTMLElement {
  /** As in `from`; to set it moves the panels. */
  value: string;
}

declare global {
  interface HTMLElementTagNameMap {
    "grafana-panel": GrafanaPanel;
    "grafana-time-range": GrafanaTimeRange;
  }
}
