//! Where a test binary keeps its files: one folder per process under `target/tmp`, swept by a later run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

const PREFIX: &str = "run-";

/// The folder of this test process; logs stay in it until the next run, so that a failure can be looked into.
pub fn run_dir() -> &'static Path {
    static DIR: OnceLock<(PathBuf, File)> = OnceLock::new();
    &DIR.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(base).expect("target/tmp can be created");
        sweep(base);
        let dir = base.join(format!("{PREFIX}{}-{}", std::process::id(), super::random_text(6)));
        fs::create_dir_all(&dir).expect("the run's folder can be created");
        let lock = File::create(dir.join("lock")).expect("the run's lock file can be created");
        lock.lock().expect("the run's folder is ours alone");
        (dir, lock)
    })
    .0
}

/// A new empty folder in [`run_dir`].
pub fn fresh_dir(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let dir = run_dir().join(format!("{:02}-{name}", NEXT.fetch_add(1, Ordering::Relaxed)));
    fs::create_dir_all(&dir).expect("a folder in the run's folder can be created");
    dir
}

/// Removes the folders of runs that are over: nobody holds their lock any more.
fn sweep(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for dir in entries.flatten().map(|entry| entry.path()) {
        let ours = dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        // A folder without a lock file may belong to a process that is just creating it.
        let Ok(lock) = File::open(dir.join("lock")) else { continue };
        if ours
            && lock.try_lock().is_ok()
            && let Err(error) = fs::remove_dir_all(&dir)
        {
            eprintln!("harness: can't remove {}: {error}", dir.display());
        }
    }
}
