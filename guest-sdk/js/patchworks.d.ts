/// <reference path="./snaphook.d.ts" />

/**
 * Types for scripts in the dialect `patchworks`: a file `scripts/NAME.patchworks.js` with `function handle(data)` or
 * `module.exports = (async) function (data)`, with `@param {Patchworks.ResponseData} data` above it. Globals are those of `snaphook.d.ts`.
 */
declare namespace Patchworks {
  type Scalar = string | number | boolean;

  /** What a script is given wherever it sits, and gives back. */
  interface StepData {
    /** The body or payload as text, or `null` where there is none. Returned as it came, it counts as not returned. */
    payload: any;
    /** The binding's `parms`, as texts. */
    readonly variables: Record<string, string>;
    /** The run's `meta`: numbers become text, what is deleted is gone. At most 10,240 bytes. */
    meta: Record<string, Scalar | null>;
    /** The run's variables: what is set holds for the rest of the run, what is deleted is gone. */
    flow: { variables: Record<string, any> };
  }

  /** At `post-request`. */
  interface ResponseData extends StepData {
    readonly response: {
      /** Names in any letter case. */
      readonly headers: Record<string, string>;
      readonly body: string;
      readonly status: number;
    };
  }

  /** At `pre-request`. What is changed is sent. */
  interface RequestData extends StepData {
    /** Text, or `null` where there is none. */
    body: any;
    /** Names in any letter case; a list repeats the name, `null` takes it away. */
    headers: Record<string, Scalar | Scalar[] | null>;
    /** Those of the URL; a list repeats the name. */
    parameters: Record<string, Scalar | Scalar[] | null>;
    url: string;
    method: string;
  }

  /** What decides, beside the data. Both mean something at `post-request` alone. */
  interface Decision {
    /** Nothing or `null` decides nothing; 0 goes on, 1 retries the step, 2 the run, 3 fails, 4 authenticates again. */
    response_code?: 0 | 1 | 2 | 3 | 4 | null;
    message?: string | null;
    /** Lines for the log, after those that the script logged itself. */
    logs?: unknown[] | null;
  }

  /** What a script returns. What it leaves out stays as it was. */
  type Returned = Partial<StepData> & Partial<RequestData> & Decision;

  type Script<Data = StepData> = (data: Data) => Returned | Promise<Returned>;
}

/** CommonJS: the script is what `module.exports` is set to. */
declare var module: { exports: any };
declare var exports: any;
/** Fails and names the module: a script is one file. */
declare function require(name: string): never;
