use secrecy::SecretString;

use super::*;
use crate::config::client::{SaslSettings, TlsSettings};

fn client() -> ClientSettings {
    ClientSettings {
        bootstrap: vec!["one:9092".to_owned(), "two:9092".to_owned()],
        client_id: "mirrormesh".to_owned(),
        rack: Some("r1".to_owned()),
        tls: None,
        sasl: None,
        request_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_millis(10),
        reconnect_backoff: Duration::from_millis(50),
        reconnect_backoff_max: Duration::from_secs(1),
        rdkafka_consumer: Vec::new(),
        rdkafka_producer: Vec::new(),
    }
}

fn consumer_of(client: &ClientSettings, partitions: usize) -> Result<ClientConfig, EngineError> {
    consumer(&SourceSettings {
        alias: "east",
        client,
        group_id: "mirrormesh-east-west",
        isolation: Isolation::ReadCommitted,
        queue_bytes: 24 << 20,
        partitions,
    })
}

fn producer_of(client: &ClientSettings) -> Result<ClientConfig, EngineError> {
    producer(&TargetSettings {
        alias: "west",
        client,
        codec: Codec::Lz4,
        budget_bytes: 96 << 20,
        batch_bytes: BATCH_BYTES,
    })
}

#[test]
fn what_librdkafkas_defaults_would_break_is_set() {
    let client = client();
    let config = consumer_of(&client, 10).expect("valid");
    for (key, value) in [
        ("bootstrap.servers", "one:9092,two:9092"),
        ("auto.offset.reset", "error"),
        ("enable.partition.eof", "true"),
        ("check.crcs", "true"),
        ("allow.auto.create.topics", "false"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("isolation.level", "read_committed"),
        ("client.rack", "r1"),
        ("socket.connection.setup.timeout.ms", "1000"),
    ] {
        assert_eq!(config.get(key), Some(value), "{key}");
    }
    let config = producer_of(&client).expect("valid");
    for (key, value) in [
        ("message.timeout.ms", "0"),
        ("enable.idempotence", "true"),
        ("enable.gapless.guarantee", "true"),
        ("acks", "all"),
        ("max.in.flight.requests.per.connection", "5"),
        ("allow.auto.create.topics", "false"),
        ("compression.codec", "lz4"),
    ] {
        assert_eq!(config.get(key), Some(value), "{key}");
    }
    assert_eq!(config.get("transactional.id"), None);
}

/// librdkafka itself is the judge of names, ranges and combinations.
#[test]
fn librdkafka_accepts_the_settings() {
    use rdkafka::consumer::BaseConsumer;
    use rdkafka::producer::BaseProducer;
    let client = client();
    for partitions in [0, 1, 12, 100_000] {
        let config = consumer_of(&client, partitions).expect("valid");
        config.create::<BaseConsumer>().unwrap_or_else(|error| panic!("{partitions} partitions: {error}"));
    }
    producer_of(&client).expect("valid").create::<BaseProducer>().expect("accepted");
}

#[test]
fn queues_share_what_they_may_hold() {
    let client = client();
    let kib = |partitions| {
        let config = consumer_of(&client, partitions).expect("valid");
        config.get("queued.max.messages.kbytes").and_then(|kib| kib.parse::<u64>().ok()).expect("a number")
    };
    assert_eq!(kib(1), 12 << 10);
    assert_eq!(kib(12), 1 << 10);
    assert_eq!(kib(100_000), 16, "a batch must fit");
}

#[test]
fn a_fetch_has_room_for_a_large_batch_while_the_share_allows_it() {
    let client = client();
    let bytes = |partitions| {
        let config = consumer_of(&client, partitions).expect("valid");
        config.get("fetch.message.max.bytes").and_then(|bytes| bytes.parse::<u64>().ok()).expect("a number")
    };
    assert_eq!(bytes(1), 3 << 20);
    assert_eq!(bytes(8), 384 << 10);
    assert_eq!(bytes(200), 64 << 10);
    assert_eq!(bytes(500), (24 << 20) / 500);
    assert_eq!(bytes(100_000), 16 << 10);
}

#[test]
fn a_users_setting_wins_unless_it_guards_correctness() {
    let mut client = client();
    client.rdkafka_producer = vec![("linger.ms".to_owned(), "50".to_owned())];
    assert_eq!(producer_of(&client).expect("valid").get("linger.ms"), Some("50"));

    client.rdkafka_producer = vec![("acks".to_owned(), "all".to_owned())];
    producer_of(&client).expect("the value is ours");

    for (key, value) in
        [("acks", "1"), ("request.required.acks", "1"), ("delivery.timeout.ms", "1000"), ("retries", "3")]
    {
        client.rdkafka_producer = vec![(key.to_owned(), value.to_owned())];
        let error = producer_of(&client).expect_err("it would lose records").to_string();
        assert!(error.contains(key) && error.contains("west"), "{error}");
    }
    client.rdkafka_consumer = vec![("auto.offset.reset".to_owned(), "latest".to_owned())];
    let error = consumer_of(&client, 1).expect_err("it would lose records").to_string();
    assert!(error.contains("auto.offset.reset") && error.contains("east"), "{error}");
}

#[test]
fn security_follows_the_client_settings() {
    let mut client = client();
    client.tls = Some(TlsSettings {
        ca_pem: Some("CA".to_owned()),
        certificate_pem: Some("CERT".to_owned()),
        key_pem: Some(SecretString::from("KEY")),
        key_password: None,
        verify_hostname: false,
    });
    client.sasl = Some(SaslSettings {
        mechanism: "SCRAM-SHA-512".to_owned(),
        username: "mirror".to_owned(),
        password: SecretString::from("secret"),
    });
    let config = consumer_of(&client, 1).expect("valid");
    for (key, value) in [
        ("security.protocol", "sasl_ssl"),
        ("ssl.ca.pem", "CA"),
        ("ssl.certificate.pem", "CERT"),
        ("ssl.key.pem", "KEY"),
        ("enable.ssl.certificate.verification", "true"),
        ("ssl.endpoint.identification.algorithm", "none"),
        ("sasl.mechanisms", "SCRAM-SHA-512"),
        ("sasl.username", "mirror"),
        ("sasl.password", "secret"),
    ] {
        assert_eq!(config.get(key), Some(value), "{key}");
    }
    assert!(!format!("{config:?}").contains("secret"), "secrets stay out of Debug");
    client.tls = Some(TlsSettings {
        ca_pem: None,
        certificate_pem: None,
        key_pem: None,
        key_password: None,
        verify_hostname: true,
    });
    client.sasl = None;
    let config = consumer_of(&client, 1).expect("valid");
    assert_eq!(config.get("ssl.ca.location"), Some("probe"));
    assert_eq!(config.get("ssl.endpoint.identification.algorithm"), Some("https"));
    assert_eq!(config.get("security.protocol"), Some("ssl"));
}
