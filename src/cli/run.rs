//! `mirrormesh run`: mirrors until it is told to stop, then drains.

use std::path::Path;

use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::Exit;
use super::input::TopologyArgs;
use crate::config::Loaded;
use crate::http::{self, HttpState, Serving};
use crate::mesh::{Mesh, MeshHandle};
use crate::store::ProcessIdentity;
use crate::telemetry::{Identity, Telemetry, TelemetryError, logs};

/// Mirror until SIGTERM or SIGINT, then drain and exit.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 drained, 1 could not start or drain, 2 unusable input.\n\
                        A second signal exits at once; nothing is lost: the next start finds out what arrived.")]
pub(super) struct RunArgs {
    /// Which topology.
    #[command(flatten)]
    pub topology: TopologyArgs,
}

/// Runs the command.
pub(super) fn run(args: &RunArgs) -> Exit {
    let loaded = match args.topology.load_or_tell() {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let process = ProcessIdentity::fresh();
    let telemetry = match telemetry(&loaded, &process) {
        Ok(telemetry) => telemetry,
        Err(failure) => {
            eprintln!("error: {failure}");
            return Exit::Problems;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers()).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(failure) => {
            error!(target: crate::cli::LOG, %failure, "no runtime");
            return Exit::Problems;
        }
    };
    let code = runtime.block_on(mirror(&args.topology.file, &loaded, process, telemetry));
    // What still runs are look-ups that nobody waits for.
    runtime.shutdown_background();
    code
}

/// Threads that run the actors: half the cores. One carries more than a gigabyte a second, and each more wakes the
/// others: on two cores the second costs a fifth of the CPU per byte.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
}

/// Metrics, spans and logs, in this order: the log subscriber hands spans to the exporter.
fn telemetry(loaded: &Loaded, process: &ProcessIdentity) -> Result<Telemetry, TelemetryError> {
    let identity = Identity {
        mesh: loaded.topology.mesh.clone(),
        process: process.id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let spec = &loaded.topology.process.telemetry;
    let telemetry = Telemetry::start(spec, &identity)?;
    logs::init(spec, telemetry.tracer())?;
    Ok(telemetry)
}

async fn mirror(file: &Path, loaded: &Loaded, process: ProcessIdentity, telemetry: Telemetry) -> Exit {
    match start(loaded, process, telemetry).await {
        Ok(running) => {
            let flows = loaded.topology.flows.len();
            info!(target: crate::cli::LOG, file = %file.display(), mesh = loaded.topology.mesh, flows, "mirroring");
            running.until_told().await
        }
        Err(failure) => {
            error!(target: crate::cli::LOG, %failure, "not started");
            Exit::Problems
        }
    }
}

struct RunningProcess {
    mesh: MeshHandle,
    telemetry: Telemetry,
    serving: Option<(Serving, oneshot::Sender<()>)>,
    signals: Signals,
}

async fn start(
    loaded: &Loaded,
    process: ProcessIdentity,
    telemetry: Telemetry,
) -> Result<RunningProcess, Box<dyn std::error::Error>> {
    let signals = Signals::listen()?;
    let mesh = Mesh::start(loaded, process, telemetry.clone()).await?;
    let serving = match loaded.topology.process.http.listen {
        Some(listen) => {
            let (stop, stopped) = oneshot::channel::<()>();
            let state = HttpState {
                status: mesh.status_source(),
                offsets: mesh.offsets_view(),
                telemetry: telemetry.clone(),
            };
            let serving = http::serve(listen, state, async move { drop(stopped.await) }).await?;
            Some((serving, stop))
        }
        None => None,
    };
    Ok(RunningProcess { mesh, telemetry, serving, signals })
}

impl RunningProcess {
    async fn until_told(mut self) -> Exit {
        let name = self.signals.next().await;
        info!(target: crate::cli::LOG, signal = name, "draining; a second signal exits at once");
        let limit = std::time::Duration::from_secs(5);
        let finish = async {
            let report = self.mesh.shutdown().await;
            if let Some((serving, stop)) = self.serving {
                let _ = stop.send(());
                let _ = tokio::time::timeout(limit, serving.task).await;
            }
            self.telemetry.shutdown(limit).await;
            report
        };
        tokio::select! {
            report = finish => {
                if report.left_behind == 0 {
                    info!(target: crate::cli::LOG, "drained");
                    return Exit::Fine;
                }
                warn!(target: crate::cli::LOG, partitions = report.left_behind, "not everything was acknowledged in time");
                Exit::Problems
            }
            name = self.signals.next() => {
                warn!(target: crate::cli::LOG, signal = name, "exit at once; the next start finds out what arrived");
                Exit::Problems
            }
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
