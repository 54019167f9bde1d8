//! Our own Kafka connection: framing, TLS, SASL, version negotiation, metadata, admin calls, simple fetch and produce.
