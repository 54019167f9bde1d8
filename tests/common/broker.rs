//! One node of a cluster: broker and controller in one process.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::home::{class_path, jdk};
use super::ports::Port;
use super::process::Process;
use super::{CEILING, KafkaClient, blocking};

/// A quick start matters more than peak speed: one simple collector, one compiler tier.
const JVM: &[&str] = &[
    "-Xms64m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
];

/// Ports and identity of a node, fixed before any node's configuration can be written.
#[derive(Debug)]
pub struct BrokerPlan {
    node_id: u16,
    internal: Port,
    controller: Port,
}

impl BrokerPlan {
    /// Reserves the ports of a node.
    pub fn new(node_id: u16) -> Self {
        Self { node_id, internal: Port::reserve(), controller: Port::reserve() }
    }

    /// The node as `controller.quorum.voters` names it.
    pub fn voter(&self) -> String {
        format!("{}@127.0.0.1:{}", self.node_id, self.controller.number())
    }

    /// Writes the node's configuration.
    pub fn prepare(
        self,
        cluster: &str,
        dir: &Path,
        voters: &str,
        brokers: u16,
        extra: &[(String, String)],
    ) -> Broker {
        let name = format!("{cluster}-{}", self.node_id);
        let dir = dir.join(self.node_id.to_string());
        fs::create_dir_all(&dir).expect("the broker's folder can be created");
        let (internal, controller) = (self.internal.number(), self.controller.number());
        // More replicas than brokers can't be; three brokers replicate the internal topics.
        let replicas = brokers.min(3);
        let mut properties = vec![
            ("process.roles", "broker,controller".to_owned()),
            ("node.id", self.node_id.to_string()),
            ("controller.quorum.voters", voters.to_owned()),
            ("controller.listener.names", "CONTROLLER".to_owned()),
            ("inter.broker.listener.name", "INTERNAL".to_owned()),
            ("listeners", format!("INTERNAL://127.0.0.1:{internal},CONTROLLER://127.0.0.1:{controller}")),
            ("advertised.listeners", format!("INTERNAL://127.0.0.1:{internal}")),
            ("listener.security.protocol.map", "INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned()),
            ("log.dirs", dir.join("data").display().to_string()),
            ("auto.create.topics.enable", "false".to_owned()),
            ("offsets.topic.num.partitions", "2".to_owned()),
            ("offsets.topic.replication.factor", replicas.to_string()),
            ("transaction.state.log.num.partitions", "2".to_owned()),
            ("transaction.state.log.replication.factor", replicas.to_string()),
            ("transaction.state.log.min.isr", "1".to_owned()),
            ("share.coordinator.state.topic.replication.factor", replicas.to_string()),
            ("share.coordinator.state.topic.min.isr", "1".to_owned()),
            ("group.initial.rebalance.delay.ms", "0".to_owned()),
            ("log.retention.check.interval.ms", "500".to_owned()),
            ("log.initial.task.delay.ms", "500".to_owned()),
            ("log.segment.delete.delay.ms", "200".to_owned()),
            ("log.cleaner.backoff.ms", "200".to_owned()),
            // The default takes 128 MiB of heap for the cleaner's map.
            ("log.cleaner.dedupe.buffer.size", (4 << 20).to_string()),
            ("broker.session.timeout.ms", "6000".to_owned()),
            ("broker.heartbeat.interval.ms", "500".to_owned()),
            ("controlled.shutdown.enable", (brokers > 1).to_string()),
        ];
        properties.extend(extra.iter().map(|(key, value)| (key.as_str(), value.clone())));
        let mut text = String::new();
        for (key, value) in &properties {
            writeln!(text, "{key}={value}").expect("a string can be written to");
        }
        fs::write(dir.join("server.properties"), text).expect("server.properties can be written");
        Broker {
            inner: Arc::new(Inner {
                name,
                node_id: self.node_id,
                data: dir.join("data"),
                dir,
                internal: self.internal,
                _controller: self.controller,
                process: Mutex::new(None),
            }),
        }
    }
}

/// A node, running or not. Clones are the same node; it is killed when the last is dropped.
#[derive(Clone, Debug)]
pub struct Broker {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    node_id: u16,
    dir: PathBuf,
    data: PathBuf,
    internal: Port,
    _controller: Port,
    process: Mutex<Option<Process>>,
}

impl Broker {
    /// Its `node.id`, from 1.
    pub fn node_id(&self) -> u16 {
        self.inner.node_id
    }

    /// `host:port` of the plaintext listener.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.inner.internal.number())
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
        self.signal("STOP");
    }

    /// Ends [`Self::pause`].
    pub fn resume(&self) {
        self.signal("CONT");
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Formats its data folder.
    pub fn format(&self, cluster_id: &str) {
        let output = Command::new(jdk("java"))
            .args(JVM)
            .args(["-cp", &class_path(), "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c"])
            .arg(self.inner.dir.join("server.properties"))
            .output()
            .expect("java can be run");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: format failed ({}): {said}", self.inner.name, output.status);
    }

    /// Starts the process if it is down; doesn't wait for it to answer.
    pub fn launch(&self) {
        let mut process = self.process();
        if process.is_some() {
            return;
        }
        let mut command = vec![jdk("java")];
        command.extend(JVM.iter().map(|flag| (*flag).into()));
        command.extend(["-cp".into(), class_path().into(), "kafka.Kafka".into(), "server.properties".into()]);
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
            let answer = client.broker_ids(Duration::from_secs(2));
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

    fn log_path(&self) -> PathBuf {
        self.inner.dir.join("broker.log")
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.inner.process.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
