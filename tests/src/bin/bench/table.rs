//! The printed table, in Markdown so that the README can show it as it is.

/// Rows of what, measured, promised and whether that was reached.
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
    missed: usize,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new(), missed: 0 }
    }

    /// A measured value that should be at most `limit`; `unit` follows both.
    pub(crate) fn at_most(&mut self, what: &str, value: f64, limit: f64, unit: &str) {
        self.row(what, &format!("{} {unit}", number(value)), &format!("≤ {} {unit}", number(limit)), Some(value <= limit));
    }

    /// A measured ratio that should be at least `limit`.
    pub(crate) fn at_least(&mut self, what: &str, value: f64, limit: f64) {
        self.row(what, &number(value), &format!("≥ {}", number(limit)), Some(value >= limit));
    }

    /// A measured value without a promise, for comparison.
    pub(crate) fn plain(&mut self, what: &str, value: &str) {
        self.row(what, value, "", None);
    }

    fn row(&mut self, what: &str, value: &str, promise: &str, reached: Option<bool>) {
        self.missed += usize::from(reached == Some(false));
        let verdict = match reached {
            Some(true) => "yes",
            Some(false) => "**missed**",
            None => "",
        };
        println!("{what}: {value} {promise} {verdict}");
        self.rows.push([what.to_owned(), value.to_owned(), promise.to_owned(), verdict.to_owned()]);
    }

    /// Rows that were promised and not reached.
    pub(crate) const fn missed(&self) -> usize {
        self.missed
    }

    pub(crate) fn print(&self) {
        println!("\n| what | measured | promised | reached |\n| --- | --- | --- | --- |");
        for [what, value, promise, verdict] in &self.rows {
            println!("| {what} | {value} | {promise} | {verdict} |");
        }
    }
}

/// Three significant digits are all that these machines give.
pub(crate) fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
