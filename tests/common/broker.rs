//! One node of a cluster: broker and controller in one process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::archive::{BOOTSTRAP, bootstrap_checkpoint, shared_archive};
use super::home::{QUICK_START, class_path, jdk};
use super::plan::{Listener, Plan};
use super::process::Process;
use super::proxy::Proxy;
use super::{CEILING, KafkaClient, blocking, fresh_dir, random_cluster_id};

const PROPERTIES: &str = "server.properties";

/// What every broker's JVM is started with, beside [`QUICK_START`].
const JVM: &[&str] = &[
    "-Xms64m",
    "-Xmx512m",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
];

/// A node, running or not. Clones are the same node; it is killed when the last is dropped.
#[derive(Clone, Debug)]
pub struct Broker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    plan: Plan,
    dir: PathBuf,
    data: PathBuf,
    process: Mutex<Option<Process>>,
}

impl Broker {
    /// A node that is planned; its configuration is written to `dir`.
    pub fn new(
        cluster: &str,
        plan: Plan,
        dir: PathBuf,
        voters: &str,
        brokers: u16,
        extra: &[(String, String)],
    ) -> Self {
        let data = dir.join("data");
        fs::create_dir_all(&dir).expect("the broker's folder can be created");
        let properties = plan.properties(&data, voters, brokers, extra);
        fs::write(dir.join(PROPERTIES), properties).expect("server.properties can be written");
        let name = format!("{cluster}-{}", plan.node_id);
        Self { inner: Arc::new(Inner { name, plan, dir, data, process: Mutex::new(None) }) }
    }

    /// Its `node.id`, from 1.
    pub fn node_id(&self) -> u16 {
        self.inner.plan.node_id
    }

    /// `host:port` of the direct plaintext listener.
    pub fn address(&self) -> String {
        self.address_at(Listener::Internal)
    }

    /// `host:port` at which a listener is reached.
    pub fn address_at(&self, listener: Listener) -> String {
        let missing = || panic!("{}: the builder asked for no {listener:?} listener", self.inner.name);
        self.inner.plan.address(listener).unwrap_or_else(missing)
    }

    /// The proxy in front of [`Listener::Link`].
    pub fn proxy(&self) -> &Proxy {
        let missing = || panic!("{}: the builder was not told `proxied`", self.inner.name);
        self.inner.plan.proxy().unwrap_or_else(missing)
    }

    /// The folder of its logs (`<topic>-<partition>/`). Touch it only while the broker is down.
    pub fn data_dir(&self) -> &Path {
        &self.inner.data
    }

    /// Its pid, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::pid)
    }

    /// SIGKILL; returns when it is gone.
    pub fn kill(&self) {
        self.process().take();
    }

    /// SIGTERM; returns when it is gone.
    pub async fn stop(&self) {
        let broker = self.clone();
        blocking(move || broker.stop_blocking()).await;
    }

    /// [`Self::stop`] for callers outside a runtime.
    pub fn stop_blocking(&self) {
        let process = self.process().take();
        if let Some(mut process) = process {
            process.signal("TERM");
            process.wait(CEILING);
        }
    }

    /// Starts it on its old port and data if it is down; returns when it answers.
    pub async fn start(&self) {
        let broker = self.clone();
        blocking(move || {
            broker.launch();
            broker.wait_ready(1);
        })
        .await;
    }

    /// Stalls it (SIGSTOP): connections stay open, nothing answers.
    pub fn pause(&self) {
        match self.process().as_ref() {
            Some(process) => process.stall(),
            None => panic!("{}: SIGSTOP to a broker that is down", self.inner.name),
        }
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Copies its data folder, while it is down; [`Self::restore_data`] brings it back.
    pub fn save_data(&self) -> PathBuf {
        assert_eq!(self.pid(), None, "{}: a running broker's data can't be saved", self.inner.name);
        let saved = fresh_dir("saved-data");
        copy_dir(&self.inner.data, &saved);
        saved
    }

    /// Sets its data folder back to a saved one, while it is down: what was written since is lost.
    pub fn restore_data(&self, saved: &Path) {
        assert_eq!(self.pid(), None, "{}: a running broker's data can't be set back", self.inner.name);
        fs::remove_dir_all(&self.inner.data).expect("the data folder can be removed");
        fs::create_dir_all(&self.inner.data).expect("the data folder can be created");
        copy_dir(saved, &self.inner.data);
    }

    /// Formats its data folder; `extra` are more arguments of `StorageTool format`.
    pub fn format(&self, cluster_id: &str, extra: &[String]) {
        if !extra.is_empty() {
            return self.format_with(&[self.shared_archive()], cluster_id, extra);
        }
        // What the tool writes, without a JVM for each broker.
        let (data, plan) = (&self.inner.data, &self.inner.plan);
        let (node, directory) = (plan.node_id, random_cluster_id());
        let meta = format!("version=1\ncluster.id={cluster_id}\nnode.id={node}\ndirectory.id={directory}\n");
        fs::create_dir_all(data).expect("the data folder can be created");
        fs::write(data.join("meta.properties"), meta).expect("meta.properties can be written");
        fs::copy(bootstrap_checkpoint(plan.release), data.join(BOOTSTRAP)).expect("a file can be copied");
    }

    /// [`Self::format`] with these flags for the JVM.
    pub fn format_with(&self, flags: &[String], cluster_id: &str, extra: &[String]) {
        let output = Command::new(jdk("java"))
            .args(QUICK_START)
            .args(JVM)
            .args(flags)
            .args([
                "-cp",
                &class_path(self.inner.plan.release),
                "kafka.tools.StorageTool",
                "format",
                "-t",
                cluster_id,
                "-c",
            ])
            .arg(self.inner.dir.join(PROPERTIES))
            .args(extra)
            .output()
            .expect("java can be run");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: format failed ({}): {said}", self.inner.name, output.status);
    }

    /// Starts the process if it is down; doesn't wait for it to answer.
    pub fn launch(&self) {
        self.launch_with(&[self.shared_archive()]);
    }

    /// [`Self::launch`] with these flags for the JVM.
    pub fn launch_with(&self, flags: &[String]) {
        let mut process = self.process();
        if process.is_some() {
            return;
        }
        let mut command = vec![jdk("java")];
        command.extend(QUICK_START.iter().chain(JVM).map(|flag| (*flag).into()));
        command.extend(self.inner.plan.flags.iter().chain(flags).map(Into::into));
        let classes = class_path(self.inner.plan.release);
        command.extend(["-cp".into(), classes.into(), "kafka.Kafka".into(), PROPERTIES.into()]);
        *process = Some(Process::spawn(&self.inner.name, &command, &self.inner.dir, &self.log_path()));
    }

    /// Waits until the broker answers a metadata request that names at least `brokers` brokers.
    pub fn wait_ready(&self, brokers: usize) {
        let client = KafkaClient::new(&self.address());
        let deadline = Instant::now() + CEILING;
        loop {
            if let Some(process) = self.process().as_mut()
                && let Some(status) = process.try_wait()
            {
                panic!("{}: ended early ({status})\n{}", self.inner.name, process.output_tail());
            }
            let answer = client.broker_ids(Duration::from_secs(5));
            if answer.as_ref().is_ok_and(|ids| ids.len() >= brokers) {
                return;
            }
            if Instant::now() > deadline {
                let tail = self.process().as_ref().map(Process::output_tail).unwrap_or_default();
                panic!("{}: not ready after {CEILING:?}, last answer {answer:?}\n{tail}", self.inner.name);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn signal(&self, name: &str) {
        match self.process().as_ref() {
            Some(process) => process.signal(name),
            None => panic!("{}: SIG{name} to a broker that is down", self.inner.name),
        }
    }

    fn shared_archive(&self) -> String {
        shared_archive(self.inner.plan.release)
    }

    fn log_path(&self) -> PathBuf {
        self.inner.dir.join("broker.log")
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.inner.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn copy_dir(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder can be read") {
        let entry = entry.expect("a folder's entries can be read");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("an entry has a type").is_dir() {
            fs::create_dir_all(&target).expect("a folder can be created");
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file can be copied");
        }
    }
}
