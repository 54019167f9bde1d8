use secrecy::ExposeSecret;

use crate::config::tests::load_text;
use crate::config::{Loaded, Problem, Problems};

/// A mesh whose first cluster has these settings, each line under `client:` unless it names another part.
fn load(parts: &str) -> Result<Loaded, Problems> {
    let indented: String = parts.lines().map(|line| format!("    {line}\n")).collect();
    let text = format!(
        "clusters:\n  b:\n    bootstrap: b:1\n  a:\n    bootstrap: a:1\n{indented}flows:\n  a-b:\n    from: a\n    to: b\n"
    );
    load_text(&text, &[], &[])
}

fn problems(parts: &str) -> Vec<Problem> {
    load(parts).expect_err("it has mistakes").list
}

fn told(parts: &str, code: &str, setting: &str) -> Problem {
    let problems = problems(parts);
    let found = problems.iter().find(|problem| problem.code == code && problem.key.ends_with(setting));
    found.unwrap_or_else(|| panic!("no {code} of {setting} in {problems:?}")).clone()
}

fn option<'a>(options: &'a [(String, String)], name: &str) -> Option<&'a str> {
    options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// A certificate and its key.
fn identity() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn block(name: &str, pem: &str) -> String {
    let lines: String = pem.lines().map(|line| format!("    {line}\n")).collect();
    format!("  {name}: |\n{lines}")
}

#[test]
fn time_outs_and_names_have_java_defaults_and_units() {
    let plain = &load("").unwrap().clients["a"];
    assert_eq!((plain.request_timeout.as_millis(), plain.connect_timeout.as_millis()), (30_000, 10_000));
    assert_eq!((plain.reconnect_backoff.as_millis(), plain.reconnect_backoff_max.as_millis()), (50, 1_000));
    assert!(plain.tls.is_none() && plain.sasl.is_none() && plain.rack.is_none());
    let loaded = load(
        "client:\n  client.id: me\n  client.rack: r1\n  request.timeout.ms: 5000\n  reconnect.backoff.ms: 7\nadmin:\n  request.timeout.ms: 9000",
    );
    let set = &loaded.unwrap().clients["a"];
    assert_eq!((set.client_id.as_str(), set.rack.as_deref()), ("me", Some("r1")));
    assert_eq!((set.request_timeout.as_millis(), set.reconnect_backoff.as_millis()), (9_000, 7));
}

#[test]
fn settings_reach_librdkafka_under_its_names() {
    let loaded = load(
        "client:\n  receive.buffer.bytes: -1\n  linger.ms: 5\n  fetch.min.bytes: 2\nconsumer:\n  fetch.max.wait.ms: 50\n  client.rack: r2\n  fetch.min.bytes: 3\nproducer:\n  linger.ms: 10\n  batch.size: 1000\n  request.timeout.ms: 77",
    )
    .unwrap();
    assert_eq!(loaded.warnings, []);
    let client = &loaded.clients["a"];
    let (consumer, producer) = (&client.rdkafka_consumer, &client.rdkafka_producer);
    assert_eq!(option(consumer, "socket.receive.buffer.bytes"), Some("0"));
    assert_eq!(option(consumer, "fetch.wait.max.ms"), Some("50"));
    assert_eq!(option(consumer, "fetch.min.bytes"), Some("3"));
    assert_eq!(option(consumer, "client.rack"), Some("r2"));
    assert_eq!(option(consumer, "linger.ms"), None);
    assert_eq!(option(producer, "linger.ms"), Some("10"));
    assert_eq!(option(producer, "batch.size"), Some("1000"));
    assert_eq!(option(producer, "request.timeout.ms"), Some("77"));
    assert_eq!(option(producer, "fetch.min.bytes"), None);
}

#[test]
fn what_has_no_meaning_is_named_and_left_out() {
    let loaded =
        load("consumer:\n  max.poll.records: 5\n  linger.ms: 5\nadmin:\n  fetch.min.bytes: 5").unwrap();
    let keys: Vec<&str> = loaded.warnings.iter().map(|warning| warning.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "clusters.a.consumer.max.poll.records",
            "clusters.a.consumer.linger.ms",
            "clusters.a.admin.fetch.min.bytes"
        ]
    );
    assert!(loaded.warnings.iter().all(|warning| warning.code == "setting_without_meaning"));
}

#[test]
fn what_breaks_the_promises_is_refused() {
    for (part, name, value) in [
        ("producer", "acks", "1"),
        ("producer", "enable.idempotence", "false"),
        ("producer", "retries", "3"),
        ("producer", "delivery.timeout.ms", "1"),
        ("producer", "transactional.id", "x"),
        ("producer", "buffer.memory", "1"),
        ("consumer", "auto.offset.reset", "latest"),
        ("consumer", "group.id", "x"),
        ("consumer", "enable.auto.commit", "true"),
        ("consumer", "check.crcs", "false"),
        ("consumer", "isolation.level", "read_committed"),
        ("client", "bootstrap.servers", "x:1"),
        ("client", "enable.ssl.certificate.verification", "false"),
        ("client", "ssl.ca.location", "x"),
    ] {
        told(&format!("{part}:\n  {name}: {value}"), "refused_setting", name);
    }
    for (part, name, value) in
        [("producer", "acks", "all"), ("producer", "acks", "-1"), ("consumer", "check.crcs", "true")]
    {
        assert!(load(&format!("{part}:\n  {name}: {value}")).is_ok(), "{name}={value}");
    }
}

#[test]
fn passwords_come_both_ways() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let module = if mechanism == "PLAIN" { "plain.PlainLoginModule" } else { "scram.ScramLoginModule" };
        for how in [
            "sasl.username: ann\n  sasl.password: ' s3cret '".to_owned(),
            format!(
                "sasl.jaas.config: 'org.apache.kafka.common.security.{module} required username=\"ann\" password=\" s3cret \";'"
            ),
        ] {
            let parts = format!(
                "client:\n  security.protocol: sasl_plaintext\n  sasl.mechanism: {mechanism}\n  {how}"
            );
            let loaded = load(&parts).unwrap();
            let sasl = loaded.clients["a"].sasl.clone().unwrap();
            assert_eq!((sasl.mechanism.as_str(), sasl.username.as_str()), (mechanism, "ann"));
            assert_eq!(sasl.password.expose_secret(), " s3cret ");
            assert!(!format!("{loaded:?}").contains("s3cret"), "{loaded:?}");
        }
    }
    let missing =
        "client:\n  security.protocol: SASL_PLAINTEXT\n  sasl.mechanism: PLAIN\n  sasl.username: ann";
    told(missing, "missing_setting", "sasl.password");
}

#[test]
fn certificates_and_keys_come_in_place() {
    let (certificate, key) = identity();
    let parts = format!(
        "client:\n  security.protocol: SSL\n  ssl.endpoint.identification.algorithm: ''\n  ssl.truststore.type: PEM\n{}{}{}",
        block("ssl.truststore.certificates", &certificate),
        block("ssl.keystore.certificate.chain", &certificate),
        block("ssl.keystore.key", &key)
    );
    let loaded = load(&parts).unwrap();
    let tls = loaded.clients["a"].tls.clone().unwrap();
    assert!(!tls.verify_hostname);
    assert!(tls.ca_pem.unwrap().contains("BEGIN CERTIFICATE"));
    assert!(tls.certificate_pem.unwrap().contains("BEGIN CERTIFICATE"));
    assert!(tls.key_pem.unwrap().expose_secret().contains("PRIVATE KEY"));
    let line = key.lines().nth(1).unwrap();
    assert!(!format!("{loaded:?}").contains(line));
}

#[test]
fn a_file_may_hold_certificate_and_key() {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = identity();
    let path = dir.path().join("both.pem");
    std::fs::write(&path, format!("{key}\n{certificate}")).unwrap();
    let parts = format!("client:\n  security.protocol: SSL\n  ssl.keystore.location: {}", path.display());
    let tls = load(&parts).unwrap().clients["a"].tls.clone().unwrap();
    assert!(tls.verify_hostname && tls.ca_pem.is_none());
    assert!(!tls.certificate_pem.unwrap().contains("PRIVATE KEY"));
    assert!(!tls.key_pem.unwrap().expose_secret().contains("CERTIFICATE"));
}

#[test]
fn stores_that_can_not_be_read_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = identity();
    let java = put("trust.jks", &[0xFE, 0xED, 0xFE, 0xED, 0, 0]);
    let broken = put("broken.pem", b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n");
    let only_key = put("key.pem", key.as_bytes());
    let only_certificate = put("cert.pem", certificate.as_bytes());
    let locked = put(
        "locked.pem",
        format!("{}{certificate}", key.replace("BEGIN PRIVATE", "BEGIN ENCRYPTED PRIVATE")).as_bytes(),
    );
    let ssl = |line: String| format!("client:\n  security.protocol: SSL\n  {line}");
    let problem =
        told(&ssl(format!("ssl.truststore.location: {java}")), "bad_file", "ssl.truststore.location");
    assert!(problem.hint.unwrap().contains("keytool -importkeystore"));
    told(&ssl("ssl.truststore.type: PKCS12".into()), "bad_value", "ssl.truststore.type");
    told(&ssl(format!("ssl.truststore.location: {broken}")), "bad_file", "ssl.truststore.location");
    told(&ssl(format!("ssl.truststore.location: {only_key}")), "bad_file", "ssl.truststore.location");
    told(&ssl("ssl.truststore.location: nowhere.pem".into()), "missing_file", "ssl.truststore.location");
    told(&ssl(format!("ssl.keystore.location: {only_certificate}")), "bad_file", "ssl.keystore.location");
    let problem =
        told(&ssl(format!("ssl.keystore.location: {locked}")), "encrypted_key", "ssl.keystore.location");
    assert!(problem.hint.unwrap().contains("openssl pkcs8"));
}
