//! MirrorMaker 2's heartbeats (KIP-382).

use super::FormatError;
use super::primitives::{Fields, put_text};

const RECORD: &str = "heartbeat";

/// Says that a flow is alive; written to `heartbeats` on the source and mirrored like any topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// Alias of the flow's source.
    pub source: String,
    /// Alias of the flow's target.
    pub target: String,
    /// When it was written, in milliseconds since the epoch.
    pub timestamp_ms: i64,
}

impl Heartbeat {
    /// The record's key. Fails if an alias has more than 32767 bytes.
    pub fn key(&self) -> Result<Vec<u8>, FormatError> {
        let mut out = Vec::with_capacity(4 + self.source.len() + self.target.len());
        put_text(&mut out, RECORD, "sourceClusterAlias", &self.source)?;
        put_text(&mut out, RECORD, "targetClusterAlias", &self.target)?;
        Ok(out)
    }

    /// The record's value, version 0.
    pub fn value(&self) -> Vec<u8> {
        let mut out = vec![0; size_of::<i16>()];
        out.extend_from_slice(&self.timestamp_ms.to_be_bytes());
        out
    }

    /// Reads a record.
    pub fn decode(key: Option<&[u8]>, value: Option<&[u8]>) -> Result<Self, FormatError> {
        let mut key = Fields::of_key(RECORD, key)?;
        let mut value = Fields::of_value(RECORD, value)?;
        value.version_0()?;
        Ok(Self {
            source: key.text("sourceClusterAlias")?.to_owned(),
            target: key.text("targetClusterAlias")?.to_owned(),
            timestamp_ms: value.i64("timestamp")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As MirrorMaker 2's own class writes it.
    const KEY: [u8; 6] = [0, 1, b'A', 0, 1, b'B'];
    const VALUE: [u8; 10] = [0, 0, 0, 0, 0x01, 0x8b, 0xcf, 0xe5, 0x68, 0];

    fn sample() -> Heartbeat {
        Heartbeat { source: "A".into(), target: "B".into(), timestamp_ms: 1_700_000_000_000 }
    }

    #[test]
    fn is_byte_for_byte_as_mm2_writes_it() {
        assert_eq!(sample().key().unwrap(), KEY);
        assert_eq!(sample().value(), VALUE);
        assert_eq!(Heartbeat::decode(Some(&KEY), Some(&VALUE)).unwrap(), sample());
    }

    #[test]
    fn trailing_bytes_are_ignored() {
        let (key, value) = ([&KEY[..], b"more"].concat(), [&VALUE[..], b"more"].concat());
        assert_eq!(Heartbeat::decode(Some(&key), Some(&value)).unwrap(), sample());
    }

    #[test]
    fn every_truncation_names_its_field() {
        for end in 0..KEY.len() {
            let error = Heartbeat::decode(Some(&KEY[..end]), Some(&VALUE)).unwrap_err();
            let expected = if end < 3 { "sourceClusterAlias" } else { "targetClusterAlias" };
            assert!(matches!(error, FormatError::Short { field, .. } if field == expected), "{end}: {error}");
        }
        for end in 0..VALUE.len() {
            let error = Heartbeat::decode(Some(&KEY), Some(&VALUE[..end])).unwrap_err();
            let expected = if end < 2 { "version" } else { "timestamp" };
            assert!(matches!(error, FormatError::Short { field, .. } if field == expected), "{end}: {error}");
        }
    }

    #[test]
    fn missing_parts_other_versions_and_odd_texts_are_refused_by_name() {
        let error = Heartbeat::decode(None, Some(&VALUE)).unwrap_err();
        assert_eq!(error.to_string(), "a heartbeat record has no key");
        let error = Heartbeat::decode(Some(&KEY), None).unwrap_err();
        assert_eq!(error.to_string(), "a heartbeat record has no value");
        let mut value = VALUE;
        value[1] = 1;
        let error = Heartbeat::decode(Some(&KEY), Some(&value)).unwrap_err();
        assert!(matches!(error, FormatError::Version { version: 1, known: 0, .. }), "{error}");
        let error = Heartbeat::decode(Some(&[0xff, 0xff, 0, 0]), Some(&VALUE)).unwrap_err();
        assert!(matches!(error, FormatError::NotText { field: "sourceClusterAlias", .. }), "{error}");
        let error = Heartbeat::decode(Some(&[0, 1, 0xff, 0, 0]), Some(&VALUE)).unwrap_err();
        assert!(matches!(error, FormatError::NotText { field: "sourceClusterAlias", .. }), "{error}");
    }

    #[test]
    fn an_alias_that_does_not_fit_is_refused() {
        let fits = Heartbeat { source: "a".repeat(32_767), ..sample() };
        assert_eq!(Heartbeat::decode(Some(&fits.key().unwrap()), Some(&VALUE)).unwrap(), fits);
        let error = Heartbeat { source: "a".repeat(32_768), ..sample() }.key().unwrap_err();
        assert!(matches!(error, FormatError::TooLong { bytes: 32_768, .. }), "{error}");
    }

    proptest! {
        #[test]
        fn round_trips(source: String, target: String, timestamp_ms: i64) {
            let beat = Heartbeat { source, target, timestamp_ms };
            let (key, value) = (beat.key().unwrap(), beat.value());
            prop_assert_eq!(Heartbeat::decode(Some(&key), Some(&value)).unwrap(), beat);
        }

        /// Whatever is accepted is what would be written: nothing is read that is not there.
        #[test]
        fn random_bytes_never_panic(key: Vec<u8>, value: Vec<u8>) {
            if let Ok(beat) = Heartbeat::decode(Some(&key), Some(&value)) {
                prop_assert!(key.starts_with(&beat.key().unwrap()) && value.starts_with(&beat.value()));
            }
        }
    }
}
