//! Child processes that can't outlive the test process, even if that is killed with -9.
//!
//! One small watchdog shell per test process is told the pid of every child. It reads from a pipe whose other end
//! only the test process holds: when the pipe ends, whatever the reason, it kills what is still on its list.
//! A child itself waits for a line before it becomes the program, which comes after the watchdog knows its pid.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use super::CEILING;

const WATCHDOG: &str = r#"
trap '' INT TERM HUP
pids=''
while read -r op pid; do
  if [ "$op" = + ]; then
    pids="$pids $pid"
  else
    left=''
    for p in $pids; do [ "$p" = "$pid" ] || left="$left $p"; done
    pids=$left
  fi
done
for p in $pids; do kill -9 "$p"; done
"#;

fn tell_watchdog(op: char, pid: u32) {
    static SHELL: OnceLock<Mutex<Child>> = OnceLock::new();
    let shell = SHELL.get_or_init(|| {
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCHDOG]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Mutex::new(shell.spawn().expect("sh can be started"))
    });
    let mut shell = shell.lock().expect("nobody panics while writing to the watchdog");
    let pipe = shell.stdin.as_mut().expect("the watchdog's stdin is a pipe");
    writeln!(pipe, "{op} {pid}").expect("the watchdog lives as long as the test process");
}

/// A child process; killed and reaped on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    what: String,
    output: PathBuf,
}

impl Process {
    /// Starts `command` (program, then arguments), both outputs appended to the file `output`.
    pub fn spawn<S: AsRef<OsStr>>(what: &str, command: &[S], dir: &Path, output: &Path) -> Self {
        let log = File::options().create(true).append(true).open(output);
        let log = log.unwrap_or_else(|error| panic!("{}: {error}", output.display()));
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"read -r go && exec "$@" </dev/null"#, "sh"]).args(command).current_dir(dir);
        shell.stdin(Stdio::piped()).stderr(log.try_clone().expect("a file handle can be cloned")).stdout(log);
        let mut child = shell.spawn().unwrap_or_else(|error| panic!("{what}: can't start sh: {error}"));
        tell_watchdog('+', child.id());
        let mut gate = child.stdin.take().expect("stdin is a pipe");
        gate.write_all(b"go\n").expect("the child waits for its line");
        Self { child, what: what.to_owned(), output: output.to_owned() }
    }

    /// Its pid; stays the same from shell to program.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last lines of its output.
    pub fn output_tail(&self) -> String {
        let bytes = std::fs::read(&self.output).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(60)..];
        format!("--- end of {}\n{}\n---", self.output.display(), tail.join("\n"))
    }

    /// Sends a signal by name: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &script]).status().expect("sh can be started");
        assert!(status.success(), "{}: can't send SIG{name} to pid {}", self.what, self.pid());
    }

    /// SIGSTOP, and waits until each of its threads stands still: the signal is sent before it is heeded.
    pub fn stall(&self) {
        self.signal("STOP");
        let deadline = Instant::now() + CEILING;
        while !self.stands_still() {
            assert!(Instant::now() < deadline, "{}: still moving after SIGSTOP", self.what);
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether every thread is stopped by a signal (proc_pid_stat(5): the state follows the name in parentheses).
    fn stands_still(&self) -> bool {
        let tasks =
            std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("a running process has threads");
        tasks.flatten().all(|task| {
            // A thread that has ended meanwhile moves nothing.
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
        })
    }

    /// Its exit status, if it is over.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().expect("a child can be waited for");
        if status.is_some() {
            tell_watchdog('-', self.pid());
        }
        status
    }

    /// Waits for its end; fails with the end of its output when it takes longer than `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.try_wait() {
                return status;
            }
            if Instant::now() > deadline {
                panic!("{}: still running after {limit:?}\n{}", self.what, self.output_tail());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL, and waits until it is gone; nothing happens if it is over already.
    pub fn kill(&mut self) {
        if self.try_wait().is_none() {
            self.child.kill().expect("a child that is not reaped can be killed");
            // Taken off the list before its pid is free for others.
            tell_watchdog('-', self.pid());
            self.child.wait().expect("a killed child can be waited for");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
