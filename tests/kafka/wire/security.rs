//! TLS, SASL and rights, and how a refusal is told.

use std::fs;
use std::path::Path;
use std::time::Duration;

use mirrormesh::config::client::{SaslSettings, TlsSettings};
use mirrormesh::wire::{Wire, WireError};
use secrecy::SecretString;
use tokio::sync::OnceCell;

use super::{new_topic, settings, wire};
use crate::common::{Cluster, Listener, topic, wait_for};

const MECHANISMS: [&str; 3] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];

/// A cluster with every listener there is; nobody breaks it.
pub(super) async fn guarded() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    let start = || {
        let builder =
            Cluster::builder("guarded").tls().user("alice", "alices-secret").user("bob", "bobs-secret");
        builder.authorizer().start()
    };
    CLUSTER.get_or_init(start).await
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn trusting(cluster: &Cluster) -> TlsSettings {
    TlsSettings {
        ca_pem: Some(text(cluster.certificates().ca())),
        certificate_pem: None,
        key_pem: None,
        key_password: None,
        verify_hostname: true,
    }
}

pub(super) fn login(mechanism: &str, username: &str, password: &str) -> SaslSettings {
    let password = SecretString::from(password);
    SaslSettings { mechanism: mechanism.to_owned(), username: username.to_owned(), password }
}

pub(super) fn client(
    cluster: &Cluster,
    listener: Listener,
    tls: Option<TlsSettings>,
    sasl: Option<SaslSettings>,
) -> Wire {
    let mut settings = settings(&cluster.bootstrap_at(listener));
    settings.connect_timeout = Duration::from_secs(20);
    settings.tls = tls;
    settings.sasl = sasl;
    Wire::new("east".into(), &settings).unwrap()
}

async fn refusal(wire: &Wire) -> WireError {
    wire.metadata(None).await.unwrap_err()
}

#[tokio::test]
async fn a_client_certificate_opens_a_tls_listener() {
    let cluster = guarded().await;
    let files = cluster.certificates();
    let with = |certificate, key| TlsSettings {
        certificate_pem: Some(text(certificate)),
        key_pem: Some(text(key).into()),
        ..trusting(cluster)
    };
    let own = with(files.client_certificate(), files.client_key());
    let metadata = client(cluster, Listener::Tls, Some(own), None).metadata(None).await.unwrap();
    assert_eq!(metadata.cluster_id.unwrap().as_str(), cluster.id());

    let error = refusal(&client(cluster, Listener::Tls, Some(trusting(cluster)), None)).await;
    assert!(error.is_auth_refused() && error.to_string().contains("client certificate"), "{error}");
    let stranger = with(files.stranger_certificate(), files.stranger_key());
    let error = refusal(&client(cluster, Listener::Tls, Some(stranger), None)).await;
    assert!(error.is_auth_refused() && error.to_string().contains("client certificate"), "{error}");
    let web = TlsSettings { ca_pem: None, ..trusting(cluster) };
    let error = refusal(&client(cluster, Listener::Tls, Some(web), None)).await;
    assert!(error.is_auth_refused() && error.to_string().contains("unknown authority"), "{error}");
}

#[tokio::test]
async fn every_mechanism_logs_in_with_and_without_tls() {
    let cluster = guarded().await;
    for mechanism in MECHANISMS {
        let sasl = || Some(login(mechanism, "alice", "alices-secret"));
        client(cluster, Listener::Sasl, None, sasl()).metadata(None).await.unwrap();
        client(cluster, Listener::SaslTls, Some(trusting(cluster)), sasl()).metadata(None).await.unwrap();
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_as_one() {
    let cluster = guarded().await;
    for mechanism in MECHANISMS {
        for (user, password) in [("alice", "wrong-secret"), ("nobody", "wrong-secret")] {
            let wire = client(cluster, Listener::Sasl, None, Some(login(mechanism, user, password)));
            let error = refusal(&wire).await;
            let expected = format!("wrong user or password for SASL/{mechanism} as user `{user}`");
            assert!(error.is_auth_refused() && !error.is_retriable(), "{error}");
            assert!(error.to_string().contains(&expected), "{error}");
            assert!(!error.to_string().contains("wrong-secret"), "{error}");
        }
    }
}

#[tokio::test]
async fn the_wrong_security_protocol_is_told() {
    let cluster = guarded().await;
    let sasl = || Some(login("PLAIN", "alice", "alices-secret"));
    let error = refusal(&client(cluster, Listener::SaslTls, None, sasl())).await;
    assert!(error.to_string().contains("TLS"), "{error}");
    let error = refusal(&client(cluster, Listener::Sasl, Some(trusting(cluster)), sasl())).await;
    assert!(error.to_string().contains("plaintext listener"), "{error}");
    let error = refusal(&client(cluster, Listener::Internal, None, sasl())).await;
    assert!(error.is_auth_refused() && error.to_string().contains("expects no SASL"), "{error}");
    let error = refusal(&client(cluster, Listener::Sasl, None, None)).await;
    assert!(error.to_string().contains("SASL"), "{error}");
}

#[tokio::test]
async fn rights_are_told_and_missed_rights_have_a_name() {
    let cluster = guarded().await;
    let (open, hidden) = (topic("open"), topic("hidden"));
    let admin = wire(cluster.bootstrap());
    for name in [&open, &hidden] {
        admin.create_topic(&new_topic(name, 1, &[]), false).await.unwrap();
    }
    let grant = ["--add", "--allow-principal", "User:bob", "--operation", "Read", "--topic", &open];
    cluster.acls(&grant).await;
    let bob = client(cluster, Listener::Sasl, None, Some(login("SCRAM-SHA-512", "bob", "bobs-secret")));
    let topics = [open.as_str().into(), hidden.as_str().into()];
    // The controller has the right, the broker a moment later.
    let rights = wait_for("the right to be known", async || {
        let rights = bob.topic_rights(&topics).await.unwrap();
        match rights[0].1.as_ref().is_ok_and(|seen| (seen.read, seen.describe) == (Some(true), Some(true))) {
            true => Ok(rights),
            false => Err(format!("{rights:?}")),
        }
    })
    .await;
    let seen = rights[0].1.as_ref().unwrap();
    assert_eq!((seen.write, seen.create, seen.alter), (Some(false), Some(false), Some(false)));
    assert_eq!((seen.describe_configs, seen.alter_configs), (Some(false), Some(false)));
    assert!(rights[1].1.as_ref().unwrap_err().is_unauthorized());

    let error = bob.create_topic(&new_topic(&topic("mine"), 1, &[]), false).await.unwrap_err();
    assert!(error.is_unauthorized() && !error.is_retriable(), "{error}");
    let configs = bob.describe_topic_configs(&topics).await.unwrap();
    assert!(configs[0].1.as_ref().unwrap_err().is_unauthorized());
    assert_eq!(bob.cluster_rights().await.unwrap().create, Some(false));
    assert_eq!(admin.cluster_rights().await.unwrap().create, Some(true));
    let all = admin.topic_rights(&topics).await.unwrap();
    assert_eq!(all[1].1.as_ref().unwrap().alter_configs, Some(true));
    let visible = bob.metadata(None).await.unwrap();
    assert!(visible.topics.iter().all(|topic| topic.name.as_str() != hidden));
}
