//! Opening, closing, losing.
