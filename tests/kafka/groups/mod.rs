//! Consumer groups that follow their topics: where a consumer goes on, on the other side and back.

mod failback;
mod follow;
mod reader;
