//! For the tests of this room: settings, and a broker made of a script.

use std::time::Duration;

use crate::config::client::ClientSettings;

/// Plaintext settings with short, whole limits.
pub(super) fn settings(bootstrap: &str) -> ClientSettings {
    ClientSettings {
        bootstrap: vec![bootstrap.to_owned()],
        client_id: "mirrormesh".to_owned(),
        rack: None,
        tls: None,
        sasl: None,
        request_timeout: Duration::from_secs(10),
        connect_timeout: Duration::from_secs(3),
        reconnect_backoff: Duration::from_millis(50),
        reconnect_backoff_max: Duration::from_millis(500),
        rdkafka_consumer: Vec::new(),
        rdkafka_producer: Vec::new(),
    }
}
