//! One line of a script's log, with where it comes from.

use anstyle::{AnsiColor, Style};
use jiff::Timestamp;
use serde_json::{Value, json};
use snaphook_model::LogLevel;

use crate::records::{Invocation, invocations, list, what};

/// What a script logged, or why it failed.
pub(super) struct Line {
    pub(super) at: Timestamp,
    pub(super) level: LogLevel,
    message: String,
    /// Of the fault, where the script failed.
    code: Option<String>,
    run: String,
    /// The flow, or `connector/endpoint`.
    what: String,
    step: Option<String>,
    hook: String,
    script: String,
    version: u64,
}

impl Line {
    /// All lines of a run, in the order of its record.
    pub(super) fn of_run(run: &Value) -> Vec<Self> {
        invocations(run).flat_map(|invocation| Self::of_invocation(run, &invocation)).collect()
    }

    fn of_invocation(run: &Value, invocation: &Invocation<'_>) -> Vec<Self> {
        let record = invocation.record;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let line = |at: &Value, level: LogLevel, message: String, code: Option<String>| Self {
            at: at.as_str().and_then(|text| text.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH),
            level,
            message,
            code,
            run: text(&run["id"]),
            what: what(run).to_owned(),
            step: invocation.step.map(str::to_owned),
            hook: text(&record["hook"]),
            script: text(&record["script"]),
            version: record["version"].as_u64().unwrap_or_default(),
        };
        let level = |entry: &Value| serde_json::from_value(entry["level"].clone()).unwrap_or(LogLevel::Log);
        let mut lines: Vec<Self> =
            list(&record["logs"]).map(|entry| line(&entry["at"], level(entry), text(&entry["message"]), None)).collect();
        let fault = &record["fault"];
        if fault.is_object() {
            // A fault has no time of its own: it comes behind everything that was logged before it.
            let at = list(&record["logs"]).last().map_or(&record["started_at"], |entry| &entry["at"]);
            lines.push(line(at, LogLevel::Error, described(fault), Some(text(&fault["code"]))));
        }
        lines
    }

    pub(super) fn json(&self) -> Value {
        let Self { at, level, message, code, run, what, step, hook, script, version } = self;
        json!({"at": at.to_string(), "level": level, "message": message, "code": code, "run": run, "what": what, "step": step, "hook": hook, "script": script, "version": version})
    }

    /// As people read it; with colours, which the stream takes out where they are not wanted.
    pub(super) fn text(&self) -> String {
        let Self { at, message, code, run, what, step, hook, script, version, .. } = self;
        let style = style(self.level);
        let dim = Style::new().dimmed();
        // The step of a direct call is the call itself.
        let step = step.as_ref().filter(|step| *step != what).map(|step| format!("/{step}")).unwrap_or_default();
        let code = code.as_ref().map(|code| format!("{code} ")).unwrap_or_default();
        let message = message.trim_end().replace('\n', "\n    ");
        format!(
            "{dim}{at:.3}{dim:#} {style}{:6}{style:#} {what}{step} {hook} {script}@{version}: {code}{message} {dim}({run}){dim:#}",
            word(self.level)
        )
    }
}

fn described(fault: &Value) -> String {
    let detail = fault["detail"].as_str().unwrap_or_default();
    match (fault["line"].as_u64(), fault["column"].as_u64()) {
        (Some(line), Some(column)) => format!("at {line}:{column}: {detail}"),
        _ => detail.to_owned(),
    }
}

fn word(level: LogLevel) -> String {
    serde_json::to_value(level).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

fn style(level: LogLevel) -> Style {
    let colour = match level {
        LogLevel::Error => AnsiColor::Red,
        LogLevel::Warn => AnsiColor::Yellow,
        LogLevel::Info | LogLevel::Log => AnsiColor::Green,
        LogLevel::Debug | LogLevel::Trace | LogLevel::Metric => AnsiColor::Blue,
    };
    colour.on_default()
}
