//! A run as a person reads it: hooks and requests in order, with decision, fuel and time.

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::Value;

/// Draws the record of `GET /v1/runs/{id}`.
pub(crate) fn draw(run: &Value) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if run["trigger"].is_object() {
        hook_rows(&mut table, &run["trigger"]);
    }
    for step in list(&run["steps"]) {
        step_rows(&mut table, step);
    }
    let mut out = String::new();
    for line in table.to_string().lines() {
        out += &format!("  {}\n", line.trim_end());
    }
    let status = text(&run["status"]);
    let why = [text(&run["code"]), text(&run["message"])].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
    out += &format!("  run {} {status}{}{why}\n", text(&run["id"]), if why.is_empty() { "" } else { " — " });
    out
}

fn step_rows(table: &mut Table, step: &Value) {
    row(table, [text(&step["name"]), String::new(), text(&step["status"]), String::new(), String::new()]);
    // Hooks that run once per call stand under the step: those before the first request are drawn above it.
    let (before, after): (Vec<_>, Vec<_>) =
        list(&step["hooks"]).partition(|hook| matches!(text(&hook["hook"]).as_str(), "pre-hook" | "step"));
    for hook in before {
        hook_rows(table, hook);
    }
    for attempt in list(&step["attempts"]) {
        let (pre, post): (Vec<_>, Vec<_>) = list(&attempt["hooks"]).partition(|hook| text(&hook["hook"]) == "pre-request");
        for hook in pre {
            hook_rows(table, hook);
        }
        request_row(table, attempt);
        for hook in post {
            hook_rows(table, hook);
        }
    }
    for hook in after {
        hook_rows(table, hook);
    }
}

fn hook_rows(table: &mut Table, hook: &Value) {
    let decided = match &hook["fault"] {
        Value::Null => [text(&hook["decision"]["kind"]), text(&hook["decision"]["message"])].join(" ").trim_end().to_owned(),
        fault => {
            let place = match (fault["line"].as_u64(), fault["column"].as_u64()) {
                (Some(line), Some(column)) => format!(" at {line}:{column}"),
                _ => String::new(),
            };
            let origin = &fault["origin"];
            let place = match origin["file"].as_str() {
                Some(file) => {
                    format!(" in {file} at {}:{}, reached from{}", origin["line"], origin["column"], place.trim_start_matches(" at"))
                }
                None => place,
            };
            format!("fault {}{place}: {}", text(&fault["code"]), text(&fault["detail"]))
        }
    };
    let script = format!("{}@{}", text(&hook["script"]), hook["version"]);
    let fuel = hook["usage"]["fuel"].as_u64().map(|fuel| format!("{} fuel", grouped(fuel))).unwrap_or_default();
    let time = hook["duration_us"].as_u64().map(|us| format!("{us} µs")).unwrap_or_default();
    row(table, [format!("  {}", text(&hook["hook"])), script, decided, fuel, time]);
    for log in list(&hook["logs"]) {
        row(
            table,
            [String::new(), String::new(), format!("{}: {}", text(&log["level"]), text(&log["message"])), String::new(), String::new()],
        );
    }
}

fn request_row(table: &mut Table, attempt: &Value) {
    if attempt["request"].is_null() {
        return;
    }
    let request = format!("{} {}", text(&attempt["request"]["method"]), text(&attempt["request"]["url"]));
    let outcome = match attempt["error"]["detail"].as_str() {
        Some(detail) => detail.to_owned(),
        None if attempt["response"].is_null() => "under way".to_owned(),
        None => format!("status {}", attempt["response"]["status"]),
    };
    row(table, ["  request".to_owned(), request, outcome, String::new(), format!("{} ms", attempt["duration_ms"])]);
}

fn row(table: &mut Table, [what, who, outcome, fuel, time]: [String; 5]) {
    let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
    table.add_row([Cell::new(what), Cell::new(who), Cell::new(outcome), right(fuel), right(time)]);
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Digits in groups of three, since fuel comes in hundreds of thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_come_in_groups_of_three() {
        assert_eq!([0, 999, 1000, 1_234_567].map(super::grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
