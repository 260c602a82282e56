//! Work that ends whether or not its caller stays to hear of it.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_util::task::TaskTracker;

/// Drives a future in place; dropped before its end, it goes on as a task of its own.
///
/// A connection that closes drops the futures of its requests. Without this, a call whose request is already out would leave no
/// record, and a change could be stored without the caches hearing of it. All such work has a deadline of its own, and keeps its
/// permits until it ends.
pub(crate) struct Finish<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    tasks: TaskTracker,
}

impl<T: Send + 'static> Finish<T> {
    pub(crate) fn new(tasks: &TaskTracker, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), tasks: tasks.clone() }
    }
}

impl<T: Send + 'static> Future for Finish<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let work = self.work.as_mut().expect("nobody polls a future again that has given its value");
        let output = std::task::ready!(work.as_mut().poll(context));
        self.work = None;
        Poll::Ready(output)
    }
}

impl<T: Send + 'static> Drop for Finish<T> {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and the work with it.
        if let (Some(work), Ok(runtime)) = (self.work.take(), tokio::runtime::Handle::try_current()) {
            self.tasks.spawn_on(
                async move {
                    work.await;
                },
                &runtime,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;
    use tokio_util::task::TaskTracker;

    use super::Finish;

    #[tokio::test]
    async fn dropped_work_goes_on_to_its_end() {
        let tasks = TaskTracker::new();
        let (release, released) = oneshot::channel::<()>();
        let (report, reported) = oneshot::channel();
        let mut work = Box::pin(Finish::new(&tasks, async move {
            released.await.expect("the test releases it");
            report.send("done").expect("the test listens");
        }));
        assert!(futures_util::poll!(work.as_mut()).is_pending());
        drop(work);
        release.send(()).expect("the work still waits");
        assert_eq!(reported.await, Ok("done"));
        tasks.close();
        tasks.wait().await;
    }
}
