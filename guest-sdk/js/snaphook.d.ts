// Types of the native dialect: the module "snaphook" and the globals that a script finds. There is no DOM and no Node.

declare module "snaphook" {
  /** A value, or a promise of one: every hook may be `async`. */
  export type Awaitable<T> = T | Promise<T>;

  /** A number or a text of the script's own, shown to the caller as `reason_code`. */
  export type ReasonCode = number | string;

  /** A call before anything is sent. */
  export interface Call<Arguments = any> {
    readonly connector: string;
    readonly endpoint: string;
    /** Changes made in place count. */
    arguments: Arguments;
  }

  /** Readers of a body. A body that nobody reads is never parsed or copied. */
  export interface Readers {
    /** The body as text. */
    text(): string;
    /** The body read as JSON; throws a `SyntaxError` when it is not JSON. */
    json<T = any>(): T;
    /** The body as bytes. */
    bytes(): Uint8Array;
  }

  /** An HTTP request as it would go out, without credentials. Changes made in place count. */
  export interface Request extends Readers {
    /** In capitals. */
    method: string;
    /** Absolute, query included. */
    get url(): string;
    set url(value: string | URL);
    /** `host`, `content-length`, `transfer-encoding`, `connection` and other hop-by-hop headers may not be set. */
    get headers(): Headers;
    set headers(value: HeadersInit);
    /**
     * Reads JSON as a value, other text as a string, anything else as `Uint8Array`, by the content type.
     * Set, text and bytes are sent as they are, any other value as its JSON text. `null` empties it.
     */
    get body(): any;
    set body(value: unknown);
  }

  /** An HTTP response, whatever its status. */
  export interface Response extends Readers {
    /** The method of the request that was answered. */
    readonly method: string;
    /** The URL of the request that was answered. */
    readonly url: string;
    readonly status: number;
    /** Whether the status is a 2xx. */
    readonly ok: boolean;
    readonly headers: Headers;
    /** As a request's. Setting it, or changing it in place, changes the payload, as returning a value does. */
    get body(): any;
    set body(value: unknown);
    /** The same as `body`. */
    get payload(): any;
    set payload(value: unknown);
  }

  /** The request that begins a run of a flow. */
  export interface TriggerRequest extends Readers {
    readonly method: string;
    /** As it came, query included. */
    readonly url: string;
    /** What follows the trigger's address: empty, or beginning with `/`. Not decoded. */
    readonly path: string;
    /** The query's parameters, decoded; a list where a name comes more than once. */
    readonly query: Readonly<Record<string, string | string[]>>;
    readonly headers: Headers;
    /** As a response's. Setting it, or changing it in place, changes the payload. */
    get body(): any;
    set body(value: unknown);
  }

  /** What a trigger may return: what it leaves out stays as it was. */
  export interface Triggered {
    /** What the first step is given; the request's body when absent. Text and bytes as they are, any other value as its JSON text. */
    payload?: unknown;
    /** The answer to the request, given once the run has succeeded; 200 without a body when absent. */
    response?: {
      /** 200 to 599; default 200. */
      status?: number;
      headers?: HeadersInit;
      /** Text and bytes as they are, any other value as its JSON text. Absent: a JSON object with the run's id as `executionId`. */
      body?: unknown;
    };
  }

  /** The result of a call that succeeded. */
  export interface CallResult<Payload = any, Arguments = any> {
    /** As the caller gave them. */
    readonly arguments: Arguments;
    readonly status: number;
    readonly headers: Headers;
    /** JSON as a value, other text as a string, bytes as `Uint8Array`. Changes made in place count. */
    payload: Payload;
  }

  /** A call's final failure. */
  export interface Failure<Arguments = any> {
    /** As the caller gave them. */
    readonly arguments: Arguments;
    /** 0 when there was no response. Setting it, `code` or `message` is the same as `replace`. */
    status: number;
    /** One of the codes of the HTTP contract, or the reason code of a rejection as text. */
    code: ReasonCode;
    message: string;
  }

  /** Appends to the run's log. Beyond the limit `log_bytes` text is dropped and counted. */
  export interface Log {
    metric(...values: unknown[]): void;
    trace(...values: unknown[]): void;
    debug(...values: unknown[]): void;
    info(...values: unknown[]): void;
    log(...values: unknown[]): void;
    warn(...values: unknown[]): void;
    error(...values: unknown[]): void;
  }

  /** Circumstances of one invocation. */
  export interface Context<Parms = any> {
    readonly tenant: string;
    /** `null` in a direct call. */
    readonly flow: string | null;
    /** `null` in a direct call. */
    readonly step: string | null;
    readonly runId: string;
    /** The attempt within the step, from 1. */
    readonly attempt: number;
    /** When the run began, in RFC 3339 UTC: `2024-05-01T12:00:00.000Z`. `Date.now()` gives the time of this invocation. */
    readonly startedAt: string;
    /** The binding's parameters; `{}` when it has none. */
    readonly parms: Parms;
    /** Whether somebody tries the script out: what it decides has no effect. */
    readonly testRun: boolean;
    /** The flow's configuration, by display name. */
    readonly config: Readonly<Record<string, any>>;
    /**
     * The connection that the call uses: its `name` and its fields. A secret one is a placeholder, `sealed:` and 22 letters; the node puts the
     * secret in where that stands in a URL, header or body of a request to the connection's own hosts. Absent where no connection is used.
     */
    readonly connection?: Readonly<Record<string, any>>;
    /** Values of the run, by key: later hooks and steps see what is written. Only what is asked for crosses. */
    readonly variables: Record<string, any>;
    /** Texts of the run, at most 10,240 bytes of keys and values together. */
    readonly meta: Record<string, string>;
    /** Payloads of earlier steps, by camel-cased name. */
    readonly stepResults: Readonly<Record<string, any>>;
    /** Values that outlive the run. `flow` is empty in a direct call, which belongs to no flow, and cannot be written there. */
    readonly state: { readonly flow: State; readonly tenant: State };
    readonly log: Log;
  }

  /**
   * Values by key, kept when the run succeeds. An invocation sees them as they were when it first asked, with what its run has written. Only what is
   * asked for crosses.
   */
  export interface State {
    /** A copy of the value; `undefined` where there is none. What is changed in it counts once it is set. */
    get<T = any>(key: string): T | undefined;
    /** Any value that has a JSON form; `undefined` deletes. A key has at most 512 bytes. */
    set(key: string, value: unknown): void;
    delete(key: string): void;
    keys(): string[];
  }

  const kind: unique symbol;

  /** What a helper gives. A helper that does not belong to the hook is a `script-contract` fault. */
  export interface Decision<Kind extends string> {
    readonly [kind]: Kind;
  }

  /** Refuses the call, or its result: the caller gets this status. In `preHook`, `preRequest` and `postHook`. */
  export function reject(status: number, message: string, code?: ReasonCode): Decision<"reject">;

  /** Answers in place of the upstream; no request is made. In `preHook` and `preRequest`. */
  export function respond(response: {
    /** Default 200. */
    status?: number;
    headers?: HeadersInit;
    /** Text and bytes as they are, any other value as its JSON text. */
    body?: unknown;
  }): Decision<"respond">;

  /** Goes on whatever the status, with a new payload or the one given. In `postRequest`. */
  export function proceed(payload?: unknown): Decision<"proceed">;

  /** Sends the request again; counts against the step's `retry`. In `postRequest`. */
  export function retry(message?: string): Decision<"retry-step">;

  /** Fails this run and starts another with the same input, under the flow's `retry`. In `postRequest`. */
  export function retryRun(message?: string): Decision<"retry-run">;

  /** Fails the step without a retry. In `postRequest`. */
  export function fail(message?: string, code?: ReasonCode): Decision<"fail">;

  /** Authenticates anew, then sends the request again; at most once per attempt. In `postRequest`. */
  export function reauthenticate(message?: string): Decision<"reauthenticate">;

  /** Makes a success of the failure, with this payload. In `postFail`. */
  export function recover(payload: unknown): Decision<"recover">;

  /** Puts another failure in its place. In `postFail`. */
  export function replace(failure: { status: number; message: string; code?: ReasonCode }): Decision<"replace">;

  /** Once per call, before it. Gives new arguments, or nothing to keep those given with their changes. */
  export type PreHook<Arguments = any, Parms = any> = (
    call: Call<Arguments>,
    context: Context<Parms>,
  ) => Awaitable<Arguments | Decision<"reject"> | Decision<"respond"> | void>;

  /** What `preRequest` may return: what it leaves out stays as it was given. */
  export interface NewRequest {
    method?: string;
    url?: string | URL;
    headers?: HeadersInit;
    body?: unknown;
  }

  /** Before every request. Gives another request, or nothing to keep the one given with its changes. */
  export type PreRequest<Parms = any> = (
    request: Request,
    context: Context<Parms>,
  ) => Awaitable<Request | NewRequest | Decision<"reject"> | Decision<"respond"> | void>;

  /** After every response. Gives a new payload, a decision, or nothing. */
  export type PostRequest<Parms = any> = (response: Response, context: Context<Parms>) => unknown;

  /** Once per call, after success. Gives a new payload, a rejection, or nothing. */
  export type PostHook<Payload = any, Arguments = any, Parms = any> = (
    result: CallResult<Payload, Arguments>,
    context: Context<Parms>,
  ) => unknown;

  /** Once per call, after final failure. Gives `recover(…)`, `replace(…)`, or nothing to keep the failure with its changes. */
  export type PostFail<Arguments = any, Parms = any> = (
    failure: Failure<Arguments>,
    context: Context<Parms>,
  ) => Awaitable<Failure | Decision<"recover"> | Decision<"replace"> | void>;

  /** A script step, the module's default export. Gives the next payload, or nothing to keep the one given with its changes. */
  export type Step<Payload = any, Parms = any> = (payload: Payload, context: Context<Parms>) => unknown;

  /** What begins a run of a flow. Gives payload and response, or nothing to pass the request's body on with its changes. */
  export type Trigger<Parms = any> = (
    request: TriggerRequest,
    context: Context<Parms>,
  ) => Awaitable<Triggered | TriggerRequest | void>;
}

/** Writes to the run's log at the level of the method. */
interface Console {
  metric(...values: unknown[]): void;
  trace(...values: unknown[]): void;
  debug(...values: unknown[]): void;
  info(...values: unknown[]): void;
  log(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
  dir(...values: unknown[]): void;
}
declare var console: Console;

type HeadersInit = Headers | Record<string, string | string[]> | Iterable<[string, string]>;

/** Header names and values; names compare without regard to case. */
interface Headers extends Iterable<[string, string]> {
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  getSetCookie(): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  forEach(callback: (value: string, name: string, headers: Headers) => void, thisArg?: unknown): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
}
declare var Headers: {
  prototype: Headers;
  new (init?: HeadersInit): Headers;
};

interface URLSearchParams extends Iterable<[string, string]> {
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string, value?: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  forEach(callback: (value: string, name: string, parameters: URLSearchParams) => void, thisArg?: unknown): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  toString(): string;
}
declare var URLSearchParams: {
  prototype: URLSearchParams;
  new (init?: string | URLSearchParams | Record<string, string> | Iterable<[string, string]>): URLSearchParams;
};

interface URL {
  hash: string;
  host: string;
  hostname: string;
  href: string;
  readonly origin: string;
  password: string;
  pathname: string;
  port: string;
  protocol: string;
  search: string;
  readonly searchParams: URLSearchParams;
  username: string;
  toJSON(): string;
  toString(): string;
}
declare var URL: {
  prototype: URL;
  new (url: string | URL, base?: string | URL): URL;
  canParse(url: string | URL, base?: string | URL): boolean;
};

interface TextEncoder {
  readonly encoding: string;
  encode(text?: string): Uint8Array;
}
declare var TextEncoder: { prototype: TextEncoder; new (): TextEncoder };

interface TextDecoder {
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(bytes?: ArrayBuffer | ArrayBufferView): string;
}
declare var TextDecoder: {
  prototype: TextDecoder;
  /** UTF-8 only. */
  new (label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }): TextDecoder;
};

/** A key of `crypto.subtle`. */
interface CryptoKey {
  readonly type: string;
  readonly extractable: boolean;
  readonly usages: string[];
}

type SnaphookHash = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";

type SnaphookBytes = ArrayBuffer | ArrayBufferView;

/** What a private key signs with. A salt of RSA-PSS is as long as its digest. */
type SnaphookPrivate =
  | { name: "RSASSA-PKCS1-v1_5" | "RSA-PSS"; hash: SnaphookPrivateHash | { name: SnaphookPrivateHash } }
  | { name: "ECDSA"; namedCurve: "P-256" }
  | { name: "Ed25519" }
  | "Ed25519";

type SnaphookPrivateHash = "SHA-256" | "SHA-384" | "SHA-512";

/**
 * Digests, HMAC, and signatures with private keys; nothing else of the platform's `SubtleCrypto`.
 *
 * A key may be the placeholder of a secret, as text or as its bytes: the node signs with the secret, and the script never has it. In an HMAC's key
 * it may stand anywhere, as in `AWS4${context.connection.api_secret}`. A placeholder that stands for no secret of this call or step, and a key that
 * is none, is a `DataError` when something is signed.
 */
interface SubtleCrypto {
  digest(algorithm: SnaphookHash | { name: SnaphookHash }, data: SnaphookBytes): Promise<ArrayBuffer>;
  /** A text is taken as UTF-8. */
  importKey(
    format: "raw",
    key: SnaphookBytes | string,
    algorithm: { name: "HMAC"; hash: SnaphookHash | { name: SnaphookHash } },
    extractable: boolean,
    usages: ("sign" | "verify")[],
  ): Promise<CryptoKey>;
  /** PKCS#8 as PEM or DER, for RSA of 2048 to 4096 bits also PKCS#1. Such a key signs at most 1,048,576 bytes. */
  importKey(
    format: "pkcs8",
    key: SnaphookBytes | string,
    algorithm: SnaphookPrivate,
    extractable: boolean,
    usages: "sign"[],
  ): Promise<CryptoKey>;
  exportKey(format: "raw", key: CryptoKey): Promise<ArrayBuffer>;
  sign(
    algorithm:
      | "HMAC"
      | "RSASSA-PKCS1-v1_5"
      | "RSA-PSS"
      | "Ed25519"
      | { name: "HMAC" | "RSASSA-PKCS1-v1_5" | "Ed25519" }
      | { name: "RSA-PSS"; saltLength?: number }
      | { name: "ECDSA"; hash: "SHA-256" | { name: "SHA-256" } },
    key: CryptoKey,
    data: SnaphookBytes,
  ): Promise<ArrayBuffer>;
  /** HMAC only. */
  verify(algorithm: "HMAC" | { name: "HMAC" }, key: CryptoKey, signature: SnaphookBytes, data: SnaphookBytes): Promise<boolean>;
}

interface Crypto {
  /** Bytes that follow from the invocation's seed, so a replayed run gets the same ones. */
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): string;
  readonly subtle: SubtleCrypto;
}
declare var crypto: Crypto;

declare function atob(text: string): string;
declare function btoa(text: string): string;
declare function structuredClone<T>(value: T): T;
declare function queueMicrotask(callback: () => void): void;
/** Virtual: nothing waits, and `Date.now()` moves on with it. Beyond the deadline it is a `deadline` fault. */
declare function setTimeout<A extends unknown[]>(callback: (...values: A) => void, delay?: number, ...values: A): number;
declare function clearTimeout(id: number | undefined): void;

/** What `fetch` resolves to. */
interface FetchResponse {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: Headers;
  text(): Promise<string>;
  json<T = any>(): Promise<T>;
  bytes(): Promise<Uint8Array>;
  arrayBuffer(): Promise<ArrayBuffer>;
}
/** Only where granted: to the tenant's connectors by name, `fetch("crm:/contacts")`, or to hosts that the operator allowed. */
declare function fetch(
  url: string | URL,
  options?: {
    method?: string;
    headers?: HeadersInit;
    body?: string | ArrayBuffer | ArrayBufferView;
  },
): Promise<FetchResponse>;

/**
 * Another script of the same tenant, as `script:signing@2`, or without `@2` its latest version at the deploy. For its types, map the
 * name to its file with `paths` in the tsconfig: `"script:signing@2": ["./scripts/signing.ts"]`.
 */
declare module "script:*";
