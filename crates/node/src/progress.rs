//! Signs of life for what takes longer than a second.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Waits for the work and shows a spinner with the text from the first second on, if standard error is a terminal.
pub(crate) async fn while_longer<T>(text: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(Duration::from_secs(1), work.as_mut()).await {
        return done;
    }
    let spinner = ProgressBar::new_spinner().with_message(text.to_owned());
    spinner.enable_steady_tick(Duration::from_millis(100));
    if spinner.is_hidden() {
        eprintln!("{text}");
    }
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// A bar on standard error, hidden when that is no terminal.
pub(crate) fn bar(total: usize) -> ProgressBar {
    let bar = ProgressBar::new(total as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
