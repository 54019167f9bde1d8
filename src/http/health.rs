//! `/healthz`: the process is alive and its async threads answer.

/// Always 200: restarting the process mends no cluster that is away.
pub(super) async fn show() -> &'static str {
    "alive\n"
}
