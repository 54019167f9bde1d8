//! Secrets never reach the output, whichever way they came in and whatever is wrong with them.

use super::{binary, finish, text, topology};

const SECRET: &str = "hunter2";

/// Runs every command and looks for the secret.
fn never_shown(mesh: &str) -> Vec<String> {
    let (file, dir) = topology(mesh);
    std::fs::write(dir.path().join("s.properties"), format!("password={SECRET}\n")).unwrap();
    std::fs::write(dir.path().join("token"), SECRET).unwrap();
    let mut outputs = Vec::new();
    for arguments in [
        &["check", "--offline"][..],
        &["check", "--offline", "--json"],
        &["config", "--show"],
        &["config", "--show", "--json"],
        &["graph"],
        &["graph", "--format", "dot"],
        &["graph", "--format", "mermaid"],
    ] {
        let mut command = binary(arguments);
        command.arg(text(&file)).env("THE_SECRET", SECRET).env("RUST_BACKTRACE", "1");
        let ran = finish(&mut command);
        for stream in [&ran.stdout, &ran.stderr] {
            assert!(!stream.to_lowercase().contains(SECRET), "{arguments:?} shows the secret:\n{stream}");
        }
        outputs.push(ran.stdout + &ran.stderr);
    }
    outputs
}

fn mesh(client: &str) -> String {
    let client: String = client.lines().map(|line| format!("      {line}\n")).collect();
    format!(
        "clusters:\n  b:\n    bootstrap: b:1\n  a:\n    bootstrap: a:1\n    client:\n{client}flows:\n  f:\n    from: a\n    to: b\n"
    )
}

#[test]
fn in_settings_that_are_right() {
    for password in ["hunter2", "${env:THE_SECRET}", "${file:s.properties:password}", "${dir:.:token}"] {
        let outputs = never_shown(&mesh(&format!(
            "security.protocol: SASL_PLAINTEXT\nsasl.mechanism: PLAIN\nsasl.username: ann\nsasl.password: {password}"
        )));
        assert!(outputs[0].starts_with("ok"), "{}", outputs[0]);
        assert!(outputs[2].contains("clusters.a.client.sasl.password = \"(hidden)\""), "{}", outputs[2]);
        assert!(outputs[2].contains("clusters.a.client.sasl.username = \"ann\""), "{}", outputs[2]);
    }
}

#[test]
fn in_settings_that_are_wrong() {
    for client in [
        "sasl.pasword: hunter2",
        "sasl.password: [hunter2]",
        "sasl.password: { a: hunter2 }",
        "sasl.password: hunter2",
        "acks: ${env:THE_SECRET}",
        "linger.ms: ${env:THE_SECRET}",
        "security.protocol: ${env:THE_SECRET}",
        "security.protocol: SASL_SSL\nsasl.mechanism: ${env:THE_SECRET}",
        "security.protocol: SASL_SSL\nsasl.mechanism: PLAIN\nsasl.jaas.config: Plain password=hunter2",
        "security.protocol: SASL_SSL\nsasl.mechanism: PLAIN\nsasl.jaas.config: hunter2 required;",
        "security.protocol: SSL\nssl.keystore.key: hunter2\nssl.keystore.certificate.chain: hunter2",
        "security.protocol: SSL\nssl.truststore.location: ${env:THE_SECRET}",
        "security.protocol: SSL\nssl.truststore.type: ${env:THE_SECRET}",
    ] {
        let outputs = never_shown(&mesh(client));
        assert!(outputs[0].contains("clusters.a.client"), "{client}: {}", outputs[0]);
    }
}

#[test]
fn in_other_keys() {
    let file = |more: &str| {
        format!(
            "clusters:\n  a: {{ bootstrap: 'a:1' }}\n  b: {{ bootstrap: 'b:1' }}\nflows:\n  f: {{ from: a, to: b }}\n{more}"
        )
    };
    for more in [
        "memory: { budget: '${env:THE_SECRET}' }",
        "shutdown: { timeout: '${env:THE_SECRET}' }",
        "http: { listen: '${env:THE_SECRET}:1' }",
        "telemetry: { log: { filter: '${env:THE_SECRET}=,=' } }",
        "telemetry: { otlp: { endpoint: '${env:THE_SECRET}' } }",
        "telemetry: { otlp: { endpoint: 'http://user:${env:THE_SECRET}@host' } }",
        "defaults: { topics: ['${env:THE_SECRET}(', '${env:THE_SECRET},b'] }",
        "defaults: { separator: '/${env:THE_SECRET}' }",
        "defaults: { codec: '${env:THE_SECRET}' }",
        "mesh: '${env:THE_SECRET}'",
    ] {
        let outputs = never_shown(&file(more));
        assert!(outputs[0].contains("refers to a secret"), "{more}: {}", outputs[0]);
        assert!(outputs[0].contains("use the variable MIRRORMESH_"), "{more}: {}", outputs[0]);
    }
    never_shown(
        "clusters:\n  a: { bootstrap: '${env:THE_SECRET}:1' }\n  b: { bootstrap: '${env:THE_SECRET}:1' }\nflows:\n  f: { from: '${env:THE_SECRET}', to: '${env:THE_SECRET}', topics: ['${env:THE_SECRET}'] }\n",
    );
}
