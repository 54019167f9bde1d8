//! What is refused, and what goes on beside it.
