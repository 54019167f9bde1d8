//! Failover and back.
