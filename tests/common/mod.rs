//! The test harness: real Apache Kafka 4.3 (or 3.9) in child processes, and what tests do with it.
//!
//! ```ignore
//! use crate::common::{Cluster, Ending, Produce, TestRecord, pair, topic, wait_for};
//!
//! // Two clusters shared by the whole binary; nobody breaks them.
//! let mesh = pair().await;
//! let orders = topic("orders");
//! mesh.east.client().create_topic(&orders, 3, &[("cleanup.policy", "compact")]).await;
//! mesh.east.client().produce(&orders, 0, TestRecord::numbered(100)).await;
//! let partitions = mesh.east.client().consume_all(&orders).await;
//!
//! // A cluster of one's own, to be broken.
//! let west = Cluster::builder("west").property("message.max.bytes", 10_000).start().await;
//! west.broker().kill();
//! west.broker().start().await;
//! ```
//!
//! - [`Cluster::builder`]`(name)` `.release(Release::V3_9) .jvm(&["-Xmx1g"]) .brokers(n) .property(key, value) .racks(&[..]) .proxied() .tls()
//!   .user(name, password) .authorizer() .start().await` → [`Cluster`]: `name() id() bootstrap() bootstrap_at(Listener) client() brokers()
//!   broker() data_dir()`, `stop().await start().await kill() pause() resume()` for all its brokers; each [`Broker`]
//!   has the same for itself, and `address() address_at(Listener) node_id() pid() log() proxy()`,
//!   `save_data() restore_data(&saved)` (while it is down: the log then ends where it did).
//! - [`Listener`]: `Internal` (plaintext, direct, always there), `Link` (plaintext through a [`Proxy`] in front of each
//!   broker), `Tls` (client certificate required), `Sasl` and `SaslTls` (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512).
//!   TLS listeners are reached as `localhost`, the others as `127.0.0.1`.
//! - `cluster.certificates()` → [`Certificates`]: paths of `ca() client_certificate() client_key()
//!   stranger_certificate() stranger_key()`; `cluster.tls_client()`, `cluster.sasl_client(Listener, mechanism, user)`;
//!   `cluster.acls(&["--add", ..]).await` runs `kafka-acls`, `cluster.limit_client(client_id, bytes_per_second).await`
//!   sets quotas, `cluster.in_step(topic).await` waits for its replicas.
//! - [`Proxy::start`]`("host:port")`, or `cluster.link(|proxy| ..)` for those of a proxied cluster: `cut() restore()
//!   stall() flow() set_latency(Duration) set_bandwidth(Option<bytes per second>) address()
//!   requests() answered_bytes() turn_rdkafka_away() admit_rdkafka() turned_away()`: librdkafka's clients find no
//!   connection, others do.
//! - [`KafkaClient`] (`cluster.client()` or `KafkaClient::new(bootstrap).with(key, value)`), all async:
//!   `create_topic(topic, partitions, &[(key, value)])`, `create_topic_with(topic, partitions, replicas, configs)`,
//!   `delete_topic(topic)`, `add_partitions(topic, total)`, `delete_records(topic, partition, before_offset)`,
//!   `topics() → BTreeMap<name, partitions>`, `offsets(topic) → Vec<(start, end)>`, `end_offsets(topic) → Vec<i64>`,
//!   `produce(topic, partition, Vec<TestRecord>) → Vec<offset>`,
//!   `produce_with(.., Produce::new().codec("zstd").transaction(id, Ending::Abort).batch_records(10))`,
//!   `consume_all(topic) → Vec<Vec<Consumed>>` per partition, `consume_all_with(topic, Isolation)`,
//!   `join(group, topic, Protocol::Classic) → Member` (until `leave()`), `commit(group, &[(topic, partition, offset,
//!   metadata)])` without joining, `committed(group, topic) → Vec<Option<offset>>`,
//!   `config() → rdkafka::ClientConfig`, `admin() → rdkafka AdminClient`.
//! - [`Load::on`]`(client).topic(name, partitions).rate(per_second).value_bytes(n).codec(c).start()`: numbered records
//!   in the background; `acknowledged()`, `progress(more).await`, `stop().await → Acknowledged`.
//! - [`compare`]`(source, topic, target, remote).await → Result<count, report>`, [`verify_exact`] (panics),
//!   [`await_exact`] (waits for the count first), [`verify_acknowledged`]`(client, topic, &acknowledged)`.
//! - [`MirrorProcess::start`]`(topology_yaml, &["key=value", ..])`: `mirrormesh run` on a file in a folder of its own,
//!   `http.listen` on a free port. `ready().await`, `status().await → Result<serde_json::Value, String>`,
//!   `get(path).await`, `kill()`, `launch()`, `terminate().await → exit code`, `ask_to_stop()`, `ended().await`, `pause() resume()`,
//!   `output()`, `pid()`, `resident_bytes()`. Killed on drop; its output is printed when the test fails.
//! - [`Engine`]`::{Passthrough, Records}` `.start(topology, settings)`: [`MirrorProcess::start`] with that engine.
//!   `both_engines!(name, ..)` makes two tests of an `async fn name(engine: Engine)`; [`twins`]`("east", settings,
//!   |source| topology_as(..))` → `[Twin { engine, source, mirror }; 2]`, `remote(topic)`: a mirror per engine over the
//!   same clusters and through the same outage.
//! - [`stored_offsets`]`(bootstrap, source alias, flow) → LoadedOffsets`, [`map_differs`]`(&map, &`[`log_view`]`(source,
//!   topic, partition), &log_view(target, ..), known_from, Between::Exact) →
//!   Option<report>`; [`wire_settings`]`(bootstrap)` for our own connection.
//! - [`stored_batches`]`(broker, topic, partition) → Vec<RawBatch>` from the broker's disk, [`body`]`(&batch)` without
//!   the header; while the broker is down, [`damage`]`(broker, topic, partition, offset)` flips a bit, and
//!   [`replace_log`]`(broker, topic, partition, &segment)` gives a partition another log, e.g. one of [`MessageSets`]
//!   (magic 0 and 1): `plain(magic, &records) gzip(magic, &records) into_bytes()`.
//! - [`mirrormesh`]`("check", topology_yaml, &["--json"]).await` → [`Ran`] `{ code, stdout, stderr }`, `json()`: any
//!   other command of the binary.
//! - [`java`]`(class or java_source(file), &[arguments]).await` runs Kafka's own tools, or a program of
//!   `tests/common/java` against Kafka's jars, and returns its stdout; `try_java` what may fail.
//! - [`class_path`]`(Release)` and [`jdk`]`("java")` to run what must go on: give it to [`Process::spawn`].
//! - [`Process::spawn`]`(what, &[program, arguments..], dir, output_file)`: a child that can't outlive the test.
//! - [`wait_for`]`("what", async || Ok(value) or Err("what is seen instead")).await`: polls, fails after
//!   [`CEILING`]; [`await_growth`]`(what, goal, async || Ok(count))` for what takes long but shows progress.
//! - [`topic`]`("orders")`: a name no other test uses. [`fresh_dir`]`("name")`: an empty folder for a test's files.
//!
//! Every call does its work or fails the test with a message. Kafka comes from Maven Central, each release once and
//! only when a test asks for it; `KAFKA_HOME` for 4.3 and `KAFKA_HOME_3_9` for 3.9 (each a folder with `libs/*.jar`)
//! save the download. Logs of the last run stay in `target/tmp/run-*`.

mod archive;
mod broker;
mod client;
mod cluster;
mod command;
mod dirs;
mod engine;
mod frames;
mod home;
mod load;
mod maps;
mod message_sets;
mod mirror;
mod oracle;
mod plan;
mod ports;
mod process;
mod proxy;
mod security;
mod shared;
mod stored;
pub mod topologies;
mod wait;

pub use broker::Broker;
pub use client::{Consumed, Ending, Isolation, KafkaClient, Member, Produce, Protocol, TestRecord};
pub use cluster::{Cluster, ClusterBuilder};
pub use command::{Ran, mirrormesh};
pub use dirs::fresh_dir;
pub(crate) use engine::both_engines;
pub use engine::{Engine, Twin, twins};
pub use home::{Release, class_path, java, java_source, jdk, try_java};
pub use load::Load;
pub use maps::{Between, log_view, map_differs, stored_offsets, wire_settings};
pub use message_sets::MessageSets;
pub use mirror::MirrorProcess;
pub use oracle::{await_exact, compare, difference, verify_acknowledged, verify_exact};
pub use plan::Listener;
pub use process::Process;
pub use proxy::Proxy;
pub use security::Certificates;
pub use shared::{Pair, pair, topic};
pub use stored::{body, damage, replace_log, stored_batches};
pub use wait::{CEILING, await_growth, blocking, wait_for};

use rand::Rng;
use rand::distr::Alphanumeric;

/// Random letters and digits.
pub fn random_text(length: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(length).map(char::from).collect()
}

/// 128 random bits as Kafka writes them: 22 characters of URL-safe base64, of which letters and digits are enough.
pub fn random_cluster_id() -> String {
    // The last character carries two bits only.
    format!("{}A", random_text(21))
}
