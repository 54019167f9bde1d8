//! The actors and their supervisor.
