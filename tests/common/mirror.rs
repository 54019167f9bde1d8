//! The real binary, run as a user runs it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ports::Port;
use super::process::Process;
use super::{CEILING, blocking, fresh_dir, wait_for};

const BINARY: &str = env!("CARGO_BIN_EXE_mirrormesh");

/// A `mirrormesh run`; killed when dropped, its output printed if the test failed.
#[derive(Debug)]
pub struct MirrorProcess {
    binary: PathBuf,
    dir: PathBuf,
    http: Port,
    settings: Vec<String>,
    process: Mutex<Option<Process>>,
}

impl MirrorProcess {
    /// Writes the topology file and starts `mirrormesh run` on it; each setting (`key=value`) becomes a `--set`.
    ///
    /// `http.listen` is set to a free port of 127.0.0.1.
    pub fn start(topology: &str, settings: &[&str]) -> Self {
        let mirror = Self::prepare(topology, settings);
        mirror.launch();
        mirror
    }

    /// [`Self::start`] without the start: [`Self::launch`] does that.
    pub fn prepare(topology: &str, settings: &[&str]) -> Self {
        let dir = fresh_dir("mirror");
        fs::write(dir.join("topology.yaml"), topology).expect("the topology file can be written");
        let http = Port::reserve();
        let mut settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        settings.push(format!("http.listen=127.0.0.1:{}", http.number()));
        Self { binary: BINARY.into(), dir, http, settings, process: Mutex::new(None) }
    }

    /// Another build of the program takes the place of the one that belongs to these tests.
    pub fn of(mut self, binary: &Path) -> Self {
        binary.clone_into(&mut self.binary);
        self
    }

    /// Starts it again after [`Self::kill`] or [`Self::terminate`], on the same file, settings and port.
    pub fn launch(&self) {
        let mut process = self.process();
        assert!(process.is_none(), "the mirror runs already");
        let mut command: Vec<OsString> =
            vec![self.binary.clone().into(), "run".into(), "topology.yaml".into()];
        for setting in &self.settings {
            command.extend(["--set".into(), setting.into()]);
        }
        *process = Some(Process::spawn("mirrormesh", &command, &self.dir, &self.dir.join("output.log")));
    }

    /// The events of this name that `/events` still has; waits for the page, which a busy machine may show late.
    pub async fn events(&self, name: &str) -> Vec<Value> {
        let body = wait_for("/events to answer", async || {
            self.assert_running();
            match self.get("/events").await? {
                (200, body) => Ok(body),
                (code, body) => Err(format!("{code} {body}")),
            }
        })
        .await;
        let body: Value = serde_json::from_str(&body).expect("/events is JSON");
        let all = body["events"].as_array().cloned().unwrap_or_default();
        all.into_iter().filter(|event| event["event"] == name).collect()
    }

    /// What `/status` says of the jobs of its first flow, by name; `Err` says what was answered instead.
    pub async fn jobs(&self) -> Result<BTreeMap<String, Value>, String> {
        let status = self.status().await?;
        let jobs = status["flows"][0]["jobs"].as_array().ok_or_else(|| format!("no jobs in {status}"))?;
        Ok(jobs
            .iter()
            .map(|job| (job["name"].as_str().unwrap_or_default().to_owned(), job.clone()))
            .collect())
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&self) {
        self.process().take();
    }

    /// SIGTERM; returns its exit code once it has drained, `None` if a signal ended it.
    pub async fn terminate(&self) -> Option<i32> {
        self.ask_to_stop();
        self.ended().await
    }

    /// SIGTERM, without waiting for what comes of it.
    pub fn ask_to_stop(&self) {
        self.signal("TERM");
    }

    /// Waits for its end and returns the exit code: for a process that should stop by itself.
    pub async fn ended(&self) -> Option<i32> {
        let mut process = self.process().take().expect("the mirror runs");
        blocking(move || process.wait(CEILING).code()).await
    }

    /// Stalls it (SIGSTOP).
    pub fn pause(&self) {
        self.process().as_ref().expect("the mirror runs").stall();
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// Waits until `/readyz` answers 200; fails at once if the process ends before.
    pub async fn ready(&self) {
        wait_for("/readyz to answer 200", async || {
            self.assert_running();
            match self.get("/readyz").await {
                Ok((200, _)) => Ok(()),
                Ok((code, body)) => Err(format!("{code} {body}")),
                Err(error) => Err(error),
            }
        })
        .await;
    }

    /// `/status` as JSON; `Err` says what was answered instead.
    pub async fn status(&self) -> Result<Value, String> {
        match self.get("/status").await? {
            (200, body) => serde_json::from_str(&body).map_err(|error| format!("{error} in {body}")),
            (code, body) => Err(format!("{code} {body}")),
        }
    }

    /// Status code and body of an HTTP GET; `Err` when it does not answer.
    pub async fn get(&self, path: &str) -> Result<(u16, String), String> {
        let exchange = http_get(self.http.number(), path);
        match tokio::time::timeout(Duration::from_secs(10), exchange).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer within 10 s".to_owned()),
        }
    }

    /// All it printed so far, over every start.
    pub fn output(&self) -> String {
        fs::read_to_string(self.dir.join("output.log")).unwrap_or_default()
    }

    /// Its pid.
    pub fn pid(&self) -> u32 {
        self.process().as_ref().expect("the mirror runs").pid()
    }

    /// Resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let pid = self.pid();
        let status =
            fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("status has VmRSS");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("VmRSS is a number of kB");
        kib * 1024
    }

    /// Fails when it has ended.
    pub fn assert_running(&self) {
        if let Some(status) = self.process().as_mut().expect("the mirror was started").try_wait() {
            panic!("mirrormesh ended by itself: {status}");
        }
    }

    fn signal(&self, name: &str) {
        self.process().as_ref().expect("the mirror runs").signal(name);
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for MirrorProcess {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}\n{}---", self.dir.join("output.log").display(), self.output());
        }
    }
}

/// HTTP/1.0, so that the body ends with the connection.
async fn http_get(port: u16, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let malformed = || std::io::Error::other(format!("not an HTTP answer: {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(malformed)?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(malformed)?;
    Ok((code, body.to_owned()))
}
