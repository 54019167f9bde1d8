//! Awaiting conditions instead of sleeping.

use std::time::Duration;

/// The longest a test waits for anything.
pub const CEILING: Duration = Duration::from_secs(60);

/// Polls `probe` until it answers `Ok`; `Err` says what was seen instead.
///
/// Fails the test after [`CEILING`], naming `what` was awaited and what was seen last.
pub async fn wait_for<T>(what: &str, mut probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let mut seen = String::from("nothing yet");
    let polling = async {
        loop {
            match probe().await {
                Ok(value) => return value,
                Err(state) => seen = state,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    match tokio::time::timeout(CEILING, polling).await {
        Ok(value) => value,
        Err(_) => panic!("waited {CEILING:?} for {what}; seen last: {seen}"),
    }
}

/// Runs blocking work off the async threads; a panic in it fails the calling test.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
