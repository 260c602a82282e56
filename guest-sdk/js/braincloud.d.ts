/// <reference path="./snaphook.d.ts" />

/**
 * Types for scripts in the dialect `braincloud`: a file `scripts/NAME.braincloud.js`, whose last expression is the decision. Globals are those of
 * `snaphook.d.ts`, and the two at the end.
 */
declare namespace BrainCloud {
  type ReasonCode = number | string;

  /** Before a call. */
  interface PreHookData {
    /** The connector. */
    readonly service: string;
    /** The endpoint. */
    readonly operation: string;
    /** The arguments, and `ccCall`: whether a flow makes the call. A change counts when it is returned as `messageOverride`. */
    message: any;
    /** The binding's `parms`. */
    readonly parms: any;
  }

  /** After a call that succeeded. */
  interface PostHookData {
    readonly service: string;
    readonly operation: string;
    /** The original arguments. */
    readonly callingMessage: any;
    /** The result. A change counts when it is returned as `data`. */
    message: any;
    readonly parms: any;
  }

  /** After a call that failed. */
  interface PostFailData {
    readonly service: string;
    readonly operation: string;
    /** The original arguments. */
    readonly callingMessage: any;
    readonly errorData: {
      /** A number where it is one. */
      readonly reasonCode: ReasonCode;
      readonly errorMessage: string;
    };
    readonly parms: any;
  }

  /** What a script's last expression may be, beside `true`, `false`, `null` and nothing. */
  interface Returned {
    /** 200 goes on; any other rejects the call or its result, or replaces its failure. */
    status?: number;
    /** New arguments, before the call. */
    messageOverride?: object | null;
    /** A new result, after the call; what a failure recovers with. */
    data?: unknown;
    reasonCode?: ReasonCode | null;
    errorMessage?: string | null;
  }

  /** What else there is. Any other member throws and is named. */
  interface Bridge {
    logInfo(message: unknown, more?: unknown): void;
    logInfoJson(message: unknown, value?: unknown): void;
    logWarning(message: unknown, more?: unknown): void;
    logWarningJson(message: unknown, value?: unknown): void;
    logError(message: unknown, more?: unknown): void;
    logErrorJson(message: unknown, value?: unknown): void;
    /** In test runs only. */
    logDebug(message: unknown, more?: unknown): void;
    /** In test runs only. */
    logDebugJson(message: unknown, value?: unknown): void;
    generateGuid(): string;
    /** Base64. */
    signHmacSha1(key: string, text: string): string;
    /** Base64. */
    signHmacSha256(key: string, text: string): string;
    utils(): Utils;
    getScriptName(): string;
    /** Passes virtual time, at most to the deadline. */
    sleep(ms: number): void;
    /** Another script of the tenant; in the first lines, by a text. */
    include(name: string): void;
  }

  interface Utils {
    generateGuid(): string;
    /** Base64. */
    signHMACSha1(key: string, text: string): string;
    /** Base64. */
    signHMACSha256(key: string, text: string): string;
  }
}

/** What the hook is given: each has members of its own. */
declare var data: BrainCloud.PreHookData & BrainCloud.PostHookData & BrainCloud.PostFailData;
declare var bridge: BrainCloud.Bridge;
