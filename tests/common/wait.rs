//! Awaiting conditions instead of sleeping.

use std::time::Duration;

/// The longest a test waits for anything to happen: several times what the slowest takes (half a minute), for machines
/// that are slower or busier.
pub const CEILING: Duration = Duration::from_secs(180);

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

/// Waits until a count reaches its goal. As long as it grows within [`CEILING`] it is on its way, however slow the machine.
pub async fn await_growth(what: &str, goal: i64, mut count: impl AsyncFnMut() -> Result<i64, String>) {
    let mut before = i64::MIN;
    while before < goal {
        before = wait_for(what, async || match count().await? {
            now if now >= goal || now > before => Ok(now),
            now => Err(format!("{now} of {goal}, and no more")),
        })
        .await;
    }
}

/// Runs blocking work off the async threads; a panic in it fails the calling test.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
