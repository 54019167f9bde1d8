//! What is made once per target folder, since the tests start many brokers: a class data archive, which halves the
//! processor time of a start, and the checkpoint that Kafka's own tool formats a folder with.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::broker::Broker;
use super::fresh_dir;
use super::home::{Release, jdk, kafka_home};
use super::plan::{Listener, Plan};

/// The checkpoint's name in a broker's data folder.
pub const BOOTSTRAP: &str = "bootstrap.checkpoint";

/// The archive of this Java and these jars, made by starting and stopping a broker.
pub fn class_archive(release: Release) -> &'static Path {
    &made(release).0
}

/// The flag that has a JVM use [`class_archive`].
pub fn shared_archive(release: Release) -> String {
    format!("-XX:SharedArchiveFile={}", class_archive(release).display())
}

/// `bootstrap.checkpoint` of a freshly formatted folder: the features of this release, without users.
pub fn bootstrap_checkpoint(release: Release) -> &'static Path {
    &made(release).1
}

fn made(release: Release) -> &'static (PathBuf, PathBuf) {
    static MADE: [OnceLock<(PathBuf, PathBuf)>; 2] = [const { OnceLock::new() }; 2];
    MADE[release as usize].get_or_init(|| {
        let file = format!("kafka-{:016x}.jsa", fingerprint(release));
        let archive = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        let checkpoint = archive.with_extension("checkpoint");
        let lock = File::create(archive.with_extension("lock")).expect("the archive's lock can be created");
        lock.lock().expect("the archive's lock can be taken");
        // The archive is the last to be made.
        if !archive.exists() || !checkpoint.exists() {
            eprintln!("harness: making {} (once, a few seconds)", archive.display());
            train(release, &archive, &checkpoint);
        }
        (archive, checkpoint)
    })
}

fn train(release: Release, archive: &Path, checkpoint: &Path) {
    let plan = Plan::new(1, release, &[Listener::Internal]);
    let voters = plan.voter();
    let broker = Broker::new("training", plan, fresh_dir("training"), &voters, 1, &[]);
    let unfinished = archive.with_extension("part");
    broker.format_with(&[], &super::random_cluster_id(), &[]);
    fs::copy(broker.data_dir().join(BOOTSTRAP), checkpoint).expect("the formatted folder has a checkpoint");
    broker.launch_with(&[format!("-XX:ArchiveClassesAtExit={}", unfinished.display())]);
    broker.wait_ready(1);
    broker.stop_blocking();
    fs::rename(unfinished, archive).expect("the finished archive can be renamed");
}

/// What an archive depends on.
fn fingerprint(release: Release) -> u64 {
    // First, because it says what to install if there is no Java.
    let home = kafka_home(release);
    let java = Command::new(jdk("java")).arg("-version").output().expect("java can be run");
    let mut hasher = DefaultHasher::new();
    (home, java.stderr).hash(&mut hasher);
    hasher.finish()
}
