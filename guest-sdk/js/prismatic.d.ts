/// <reference path="./snaphook.d.ts" />

/**
 * Types for scripts in the dialect `prismatic`: a file `scripts/NAME.prismatic.js` with `module.exports = async (context, stepResults) => …`,
 * and `@type {Prismatic.Step}` or `@type {Prismatic.Trigger}` above it. Globals are those of `snaphook.d.ts`.
 */
declare namespace Prismatic {
  /** What belongs to the run, in the context and in a trigger's payload. */
  interface Circumstances {
    /** The run's id. */
    readonly executionId: string;
    /** The tenant. */
    readonly customer: { readonly id: string; readonly externalId: string; readonly name: string };
    /** The tenant. */
    readonly instance: { readonly id: string; readonly name: string };
    /** The flow; its members are `null` outside one. */
    readonly flow: { readonly id: string | null; readonly stableId: string | null; readonly name: string | null };
    /** The flow; its members are `null` outside one. */
    readonly integration: { readonly id: string | null; readonly name: string | null };
    /** When the run began, in RFC 3339 UTC. */
    readonly startedAt: string;
  }

  interface Context extends Circumstances {
    /** The log with its seven levels. */
    readonly logger: import("snaphook").Log;
    /** The flow's `config`, by display name. */
    readonly configVars: Readonly<Record<string, any>>;
    /** The step's name; `null` in a trigger. */
    readonly stepId: string | null;
    /** The run's variables, gone when it ends. Each of the states is set by changing it, by putting another object there, or by returning it. */
    executionState: State;
    /** The flow's state, in later runs of the same flow. It and the two below are kept when the run succeeds. */
    instanceState: State;
    /** The tenant's state, in all of its flows. */
    crossFlowState: State;
    /** The same, apart from `crossFlowState`. */
    integrationState: State;
  }

  /** Values of JSON by name. */
  type State = Record<string, any>;

  /** States that are returned: their members are set, and the others stay. */
  interface States {
    executionState?: State | null;
    instanceState?: State | null;
    crossFlowState?: State | null;
    integrationState?: State | null;
  }

  /** Results of earlier steps and of the `trigger`, by camel-cased name. */
  type StepResults = Readonly<Record<string, { readonly results: any }>>;

  interface TriggerPayload extends Circumstances {
    /** Names in any letter case. */
    readonly headers: Readonly<Record<string, string>>;
    /** A list where a name comes more than once. */
    readonly queryParameters: Readonly<Record<string, string | string[]>>;
    readonly rawBody: { readonly data: Uint8Array; readonly contentType: string };
    /** JSON as a value; text, forms and what is not what it says it is as text; anything else as bytes. */
    readonly body: { readonly data: any; readonly contentType: string };
    /** What follows the trigger's address, with its slash. */
    readonly pathFragment: string;
  }

  /** What a step returns: nothing leaves the payload as it was. */
  interface StepReturned extends States {
    /** The next payload, any JSON value. */
    data?: unknown;
    /** Does nothing here, as `contentType` and `headers`. */
    statusCode?: number;
    contentType?: string;
    headers?: Record<string, string>;
  }

  /** What a trigger returns: what it leaves out stays as it was. */
  interface TriggerReturned extends States {
    /** What the first step is given; the request's body when absent. */
    payload?: unknown;
    response?: {
      /** Default 200. */
      statusCode?: number;
      contentType?: string | null;
      headers?: HeadersInit | null;
      /** Absent: the run's id. */
      body?: unknown;
    } | null;
  }

  type Step = (context: Context, stepResults: StepResults) => Promise<StepReturned | null | void> | StepReturned | null | void;
  type Trigger = (context: Context, payload: TriggerPayload) => Promise<TriggerReturned | null | void> | TriggerReturned | null | void;
}

/** CommonJS: the script is what `module.exports` is set to. */
declare var module: { exports: any };
declare var exports: any;
/** Fails and names the module: a script is one file. */
declare function require(name: string): never;
