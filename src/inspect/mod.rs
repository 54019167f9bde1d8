//! Answers without a mesh: what is there, what would be done, what groups have committed. For commands and whoever asks.

mod commit;
mod lookup;
mod overview;
mod preflight;
mod survey;

pub use commit::{Moved, WantedCommit, commit};
pub use lookup::{AsOf, FlowOffsets, LookupError, SourceOffsets};
pub use overview::Overview;
pub use preflight::problems;
pub use survey::{Survey, SurveyError, Surveyed};
