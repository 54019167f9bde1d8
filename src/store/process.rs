//! Who this process is: shown in claims and in `/status`.

use uuid::Uuid;

/// Identity of a running process.
#[derive(Clone, Debug)]
pub struct ProcessIdentity {
    /// A fresh id at every start.
    pub id: String,
    /// The machine's name, as the system tells it.
    pub host: String,
    /// Process id.
    pub pid: u32,
}

impl ProcessIdentity {
    /// A fresh identity.
    pub fn fresh() -> Self {
        let host = std::fs::read_to_string("/etc/hostname").map(|name| name.trim().to_owned()).ok();
        let host = host.filter(|name| !name.is_empty()).or_else(|| std::env::var("HOSTNAME").ok());
        Self {
            id: Uuid::new_v4().to_string(),
            host: host.unwrap_or_else(|| "unknown".to_owned()),
            pid: std::process::id(),
        }
    }
}
