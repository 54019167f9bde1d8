//! Secured clusters: TLS, SASL and ACLs, set up as users set them up, and what is told when they are wrong.

use std::path::PathBuf;

use serde_json::Value;

use crate::common::topologies::flow;
use crate::common::{
    Certificates, Cluster, Listener, MirrorProcess, Ran, TestRecord, await_exact, fresh_dir, mirrormesh,
    twins, wait_for,
};

/// A cluster of a topology, with lines below its `client:`.
#[derive(Clone)]
struct End<'a> {
    alias: String,
    cluster: &'a Cluster,
    listener: Listener,
    client: Vec<String>,
}

impl<'a> End<'a> {
    fn new(cluster: &'a Cluster, listener: Listener, client: Vec<String>) -> Self {
        Self { alias: cluster.name().to_owned(), cluster, listener, client }
    }

    /// The same cluster under another name.
    fn called(&self, alias: &str) -> Self {
        Self { alias: alias.to_owned(), ..self.clone() }
    }

    fn plain(cluster: &'a Cluster) -> Self {
        Self::new(cluster, Listener::Internal, Vec::new())
    }

    fn tls(cluster: &'a Cluster, store: &Store) -> Self {
        let mut client = vec!["security.protocol: SSL".to_owned()];
        client.extend(store.lines());
        Self::new(cluster, Listener::Tls, client)
    }

    /// Logs in as a user whose password stands in a file beside.
    fn sasl(cluster: &'a Cluster, listener: Listener, mechanism: &str, password: &str) -> Self {
        let file = fresh_dir("secrets").join("mirror.properties");
        std::fs::write(&file, format!("# of the mirror\npassword={password}\n"))
            .expect("a file can be written");
        let password = format!("${{file:{}:password}}", file.display());
        let tls = listener == Listener::SaslTls;
        let mut client = vec![
            format!("security.protocol: {}", if tls { "SASL_SSL" } else { "SASL_PLAINTEXT" }),
            format!("sasl.mechanism: {mechanism}"),
        ];
        if mechanism == "PLAIN" {
            client.extend(["sasl.username: mirror".to_owned(), format!("sasl.password: {password}")]);
        } else {
            let module = "org.apache.kafka.common.security.scram.ScramLoginModule";
            client.push(format!(
                r#"sasl.jaas.config: '{module} required username="mirror" password="{password}";'"#
            ));
        }
        if tls {
            client.extend(Store { ca: cluster.certificates().ca(), identity: None }.lines());
        }
        Self::new(cluster, listener, client)
    }
}

/// Whom a client trusts, and who it says it is: certificate chain and key in one file, as Kafka wants them.
struct Store {
    ca: PathBuf,
    identity: Option<PathBuf>,
}

impl Store {
    fn of(files: &Certificates) -> Self {
        let identity = identity(files.client_certificate(), files.client_key());
        Self { ca: files.ca(), identity: Some(identity) }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            "ssl.truststore.type: PEM".to_owned(),
            format!("ssl.truststore.location: {}", self.ca.display()),
        ];
        if let Some(identity) = &self.identity {
            lines.push("ssl.keystore.type: PEM".to_owned());
            lines.push(format!("ssl.keystore.location: {}", identity.display()));
        }
        lines
    }
}

fn identity(certificate: PathBuf, key: PathBuf) -> PathBuf {
    let both = [key, certificate].map(|file| std::fs::read_to_string(file).expect("a PEM file can be read"));
    let file = fresh_dir("identity").join("client.pem");
    std::fs::write(&file, both.concat()).expect("a file can be written");
    file
}

/// The flow `secured` takes every topic whose name has no dot.
fn mesh(ends: &[&End<'_>; 2]) -> String {
    let mut yaml = "mesh: test\ndiscovery: { interval: 1s }\nclusters:\n".to_owned();
    for End { alias, cluster, listener, client } in ends {
        let bootstrap = cluster.bootstrap_at(*listener);
        yaml += &format!("  {alias}:\n    bootstrap: [\"{bootstrap}\"]\n    client:\n");
        for line in client {
            yaml += &format!("      {line}\n");
        }
        yaml += "      request.timeout.ms: 30000\n";
    }
    let [from, to] = ends.map(|end| end.alias.as_str());
    yaml + "flows:\n" + &flow("secured", from, to, &["[a-z]+"], &[])
}

async fn cluster_status(mirror: &MirrorProcess, alias: &str) -> Result<Value, String> {
    let status = mirror.status().await?;
    let clusters = status["clusters"].as_array().cloned().unwrap_or_default();
    clusters.into_iter().find(|entry| entry["alias"] == alias).ok_or_else(|| status.to_string())
}

/// Waits until the source `east` is shown as refusing us, and the flow as waiting for it; returns the reason.
async fn refused(mirror: &MirrorProcess) -> String {
    wait_for("east to be shown as refused and the flow to wait for it", async || {
        let east = cluster_status(mirror, "east").await?;
        let flow = mirror.status().await?["flows"][0].clone();
        let waits = flow["state"] == "waiting" && text(&flow["reason"]).contains("cluster east");
        if east["state"] == "refused" && waits {
            Ok(text(&east["reason"]))
        } else {
            Err(format!("{east} {flow}"))
        }
    })
    .await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What `check` tells of a topology that can't work.
async fn checked(topology: &str) -> String {
    let Ran { code, stdout, stderr } = mirrormesh("check", topology, &[]).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    stdout + &stderr
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

/// R1, R8: both clients present their certificate on both ends.
#[tokio::test(flavor = "multi_thread")]
async fn tls_with_client_certificates() {
    let _seats = crate::seats(2).await;
    let (east, west) =
        tokio::join!(Cluster::builder("east").tls().start(), Cluster::builder("west").tls().start());
    east.client().create_topic("orders", 2, &[]).await;
    east.client().produce("orders", 1, TestRecord::numbered(100)).await;
    let here = End::tls(&east, &Store::of(east.certificates()));
    let there = End::tls(&west, &Store::of(west.certificates()));
    for twin in twins("east", &[], |source| mesh(&[&here.called(source), &there])) {
        twin.mirror.ready().await;
        assert_eq!(await_exact(east.client(), "orders", west.client(), &twin.remote("orders")).await, 100);
        assert_eq!(twin.mirror.terminate().await, Some(0), "{:?}", twin.engine);
    }
    let checked = mirrormesh("check", &mesh(&[&here, &there]), &[]).await;
    assert_eq!(checked.code, 0, "{checked:?}");
}

/// An authority we don't know, no certificate of ours, one of a stranger: each is told as what it is.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_certificates_are_told_apart() {
    let _seats = crate::seats(2).await;
    let (east, west) =
        tokio::join!(Cluster::builder("east").tls().start(), Cluster::builder("west").tls().start());
    let files = east.certificates();
    let stranger = identity(files.stranger_certificate(), files.stranger_key());
    let ca_of_west = Store { ca: west.certificates().ca(), ..Store::of(files) };
    let without = Store { identity: None, ..Store::of(files) };
    let another = Store { identity: Some(stranger), ..Store::of(files) };
    let west = End::plain(&west);
    for (store, told) in [
        (ca_of_west, "signed by an unknown authority"),
        (without, "wants a client certificate"),
        (another, "refuses our client certificate"),
    ] {
        let topology = mesh(&[&End::tls(&east, &store), &west]);
        let mirror = MirrorProcess::start(&topology, &[]);
        let reason = refused(&mirror).await;
        has(&reason, &["cluster `east`", told]);
        has(&checked(&topology).await, &["clusters.east.client", told]);
        assert_eq!(mirror.terminate().await, Some(0));
    }
}

/// R3: every mechanism on both kinds of listener, one after the other, on one set of positions.
#[tokio::test(flavor = "multi_thread")]
async fn sasl_with_every_mechanism() {
    const PASSWORD: &str = "Sesam-oeffne-dich";
    let _seats = crate::seats(2).await;
    let start = |name| Cluster::builder(name).tls().user("mirror", PASSWORD).start();
    let (east, west) = tokio::join!(start("east"), start("west"));
    east.client().create_topic("orders", 1, &[]).await;
    let mut count = 0;
    for mechanism in ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] {
        for (here, there) in [(Listener::SaslTls, Listener::Sasl), (Listener::Sasl, Listener::SaslTls)] {
            east.client().produce("orders", 0, TestRecord::numbered(10)).await;
            count += 10;
            let [source, target] = [(&east, here), (&west, there)]
                .map(|(cluster, listener)| End::sasl(cluster, listener, mechanism, PASSWORD));
            let twins = twins("east", &["telemetry.log.filter=debug"], |alias| {
                mesh(&[&source.called(alias), &target])
            });
            for twin in &twins {
                let (mirror, what) = (&twin.mirror, format!("{mechanism} {here:?} {:?}", twin.engine));
                mirror.ready().await;
                let remote = twin.remote("orders");
                let copied = await_exact(east.client(), "orders", west.client(), &remote).await;
                assert_eq!(copied, count, "{what}");
                assert_eq!(mirror.terminate().await, Some(0), "{what}");
                assert!(!mirror.output().contains(PASSWORD), "{what}: the password is in the log");
            }
        }
    }
}

/// A wrong password is called one, the flow waits, and no password is shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_and_never_shown() {
    const RIGHT: &str = "Sesam-oeffne-dich";
    const WRONG: &str = "Weizen-oeffne-dich";
    let _seats = crate::seats(2).await;
    let (east, west) = tokio::join!(
        Cluster::builder("east").user("mirror", RIGHT).start(),
        Cluster::builder("west").start()
    );
    let west = End::plain(&west);
    for mechanism in ["SCRAM-SHA-512", "PLAIN"] {
        let topology = mesh(&[&End::sasl(&east, Listener::Sasl, mechanism, WRONG), &west]);
        let mirror = MirrorProcess::start(&topology, &["telemetry.log.filter=debug"]);
        let reason = refused(&mirror).await;
        has(&reason, &["cluster `east`", "wrong user or password", mechanism, "`mirror`"]);
        let pages = [mirror.get("/status").await, mirror.get("/events").await, mirror.get("/readyz").await];
        let told = checked(&topology).await;
        has(&told, &["clusters.east.client", "wrong user or password", "`mirror`"]);
        assert_eq!(mirror.terminate().await, Some(0));
        for shown in [mirror.output(), format!("{pages:?}"), told] {
            for password in [RIGHT, WRONG] {
                assert!(!shown.contains(password), "{password} is shown:\n{shown}");
            }
        }
    }
}
