//! The mirrors that are compared, started as their users start them.

use std::fmt;
use std::fs;

use clap::ValueEnum;

use crate::common::{CEILING, Cluster, MirrorProcess, Process, Release, class_path, fresh_dir, jdk};
use crate::mm2;
use crate::support;
use crate::workload::Workload;

/// A mirror, or the floor under all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Subject {
    /// MirrorMaker 2.
    Mm2,
    /// MirrorMesh with `engine: records`.
    Records,
    /// MirrorMesh with `engine: passthrough`.
    Passthrough,
    /// A plain TCP proxy between a broker and a consumer: the least that moving bytes costs.
    Copy,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("no subject is hidden");
        f.write_str(value.get_name())
    }
}

/// What a mirror is to do.
#[derive(Debug)]
pub struct Job<'a> {
    /// Where records come from.
    pub source: &'a Cluster,
    /// Where they go.
    pub target: &'a Cluster,
    /// What the source is called: no two runs share one, so that none finds positions of another.
    pub alias: String,
    /// The topics.
    pub topics: Vec<String>,
    /// The kind of data.
    pub workload: Workload,
}

/// A mirror that runs; killed when dropped.
pub enum Running {
    /// MirrorMaker 2.
    Mm2(Process),
    /// MirrorMesh.
    Mesh(MirrorProcess),
}

impl Running {
    /// Starts the mirror; doesn't wait for anything.
    pub fn start(subject: Subject, job: &Job<'_>) -> Self {
        match subject {
            Subject::Mm2 => Self::Mm2(start_mm2(job)),
            Subject::Records | Subject::Passthrough => {
                Self::Mesh(MirrorProcess::start(&topology(subject, job), &[]))
            }
            Subject::Copy => panic!("the copy proxy mirrors nothing"),
        }
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        match self {
            Self::Mm2(process) => process.pid(),
            Self::Mesh(process) => process.pid(),
        }
    }

    /// Fails when it has ended.
    pub fn assert_running(&mut self) {
        match self {
            Self::Mm2(process) => {
                if let Some(status) = process.try_wait() {
                    panic!("MirrorMaker 2 ended by itself ({status})\n{}", process.output_tail());
                }
            }
            Self::Mesh(process) => process.assert_running(),
        }
    }

    /// Asks it to stop and waits for its end.
    pub async fn stop(self) {
        match self {
            Self::Mm2(mut process) => {
                process.signal("TERM");
                process.wait(CEILING);
            }
            Self::Mesh(process) => assert_eq!(process.terminate().await, Some(0), "{}", process.output()),
        }
    }
}

fn start_mm2(job: &Job<'_>) -> Process {
    let dir = fresh_dir("mm2");
    fs::write(dir.join("mm2.properties"), mm2::properties(job)).expect("mm2.properties can be written");
    let mut command = vec![jdk("java")];
    command.extend(mm2::JVM.iter().map(Into::into));
    command.extend(["-cp".into(), class_path(Release::V4_3).into()]);
    command.extend(["org.apache.kafka.connect.mirror.MirrorMaker".into(), "mm2.properties".into()]);
    Process::spawn("MirrorMaker 2", &command, &dir, &dir.join("mm2.log"))
}

/// Everything at its default but what makes the comparison even: the codec and the isolation.
fn topology(subject: Subject, job: &Job<'_>) -> String {
    let isolation = if job.workload.transactional() { "read_committed" } else { "read_uncommitted" };
    let mut more = vec![format!("engine: {subject}"), format!("isolation: {isolation}")];
    if subject == Subject::Records {
        // Passthrough has none: batches keep theirs.
        more.push(format!("codec: {}", job.workload.codec()));
    }
    support::topology(&job.alias, job.source.bootstrap(), job.target.bootstrap(), &job.topics, &more)
}
