//! The document that `import` reads: what `export` prints, or any list of objects with topic, partition and offset.

use serde_json::{Map, Value};

use crate::model::TopicPartition;

/// Mistakes that are told at most.
const MOST_TOLD: usize = 10;
/// Fields that an answer has of its own.
const ANSWERED: [&str; 3] = ["translated_topic", "translated_offset", "worth"];

/// One offset that a document gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GivenOffset {
    /// The partition, by the topic's name on the side that the offset is of.
    pub partition: TopicPartition,
    /// The next record to read.
    pub offset: i64,
    /// Whose commit it is, if the document says so.
    pub group: Option<String>,
    /// What was committed beside it.
    pub metadata: Option<String>,
    /// All other fields.
    pub more: Map<String, Value>,
}

/// Reads a document: a list of objects, or an object with such a list as `offsets`.
///
/// # Errors
/// What is wrong with it, with the place of each mistake; ten at most.
pub(super) fn read(bytes: &[u8], flow: &str) -> Result<Vec<GivenOffset>, Vec<String>> {
    let document: Value =
        serde_json::from_slice(bytes).map_err(|error| vec![format!("is not JSON: {error}")])?;
    if let Some(of) = document.get("flow").and_then(Value::as_str).filter(|of| *of != flow) {
        return Err(vec![format!("is about flow {of}, not {flow}: name that flow with --flow")]);
    }
    let list = match &document {
        Value::Array(list) => list,
        Value::Object(object) => match object.get("offsets") {
            Some(Value::Array(list)) => list,
            _ => return Err(vec!["has no list `offsets`".to_owned()]),
        },
        _ => return Err(vec!["is neither a list nor an object with a list `offsets`".to_owned()]),
    };
    let (mut given, mut mistakes) = (Vec::with_capacity(list.len()), Vec::new());
    for (index, entry) in list.iter().enumerate() {
        match read_entry(entry) {
            Ok(entry) => given.push(entry),
            Err(mistake) => mistakes.push(format!("offsets[{index}]: {mistake}")),
        }
    }
    if mistakes.is_empty() {
        return Ok(given);
    }
    let more = mistakes.len().saturating_sub(MOST_TOLD);
    mistakes.truncate(MOST_TOLD);
    if more > 0 {
        mistakes.push(format!("and {more} more"));
    }
    Err(mistakes)
}

fn read_entry(entry: &Value) -> Result<GivenOffset, String> {
    let mut more = entry.as_object().ok_or("is not an object")?.clone();
    for field in ANSWERED {
        more.remove(field);
    }
    let topic = match more.remove("topic") {
        Some(Value::String(topic)) if !topic.is_empty() => topic,
        Some(other) => return Err(format!("topic: {other} is not a name")),
        None => return Err("topic is missing".to_owned()),
    };
    let partition = number(&mut more, "partition")?;
    let partition =
        i32::try_from(partition).map_err(|_| format!("partition: {partition} is more than Kafka has"))?;
    let offset = number(&mut more, "offset")?;
    let (group, metadata) = (text(&mut more, "group")?, text(&mut more, "metadata")?);
    Ok(GivenOffset { partition: TopicPartition::new(topic, partition), offset, group, metadata, more })
}

fn number(fields: &mut Map<String, Value>, field: &str) -> Result<i64, String> {
    match fields.remove(field) {
        Some(value) => match value.as_i64() {
            Some(number) if number >= 0 => Ok(number),
            _ => Err(format!("{field}: {value} is not a number from 0 on")),
        },
        None => Err(format!("{field} is missing")),
    }
}

fn text(fields: &mut Map<String, Value>, field: &str) -> Result<Option<String>, String> {
    match fields.remove(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("{field}: {other} is not text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistakes(text: &str) -> Vec<String> {
        read(text.as_bytes(), "f").unwrap_err()
    }

    #[test]
    fn a_list_is_enough_and_other_fields_are_kept() {
        let text = r#"[{"topic": "orders", "partition": 3, "offset": 12, "job": "nightly", "worth": "old"}]"#;
        let given = read(text.as_bytes(), "f").unwrap().remove(0);
        assert_eq!((given.partition, given.offset), (TopicPartition::new("orders", 3), 12));
        assert_eq!((given.group, given.metadata), (None, None));
        assert_eq!(given.more.into_iter().collect::<Vec<_>>(), [("job".to_owned(), "nightly".into())]);
    }

    #[test]
    fn an_exported_document_is_read_again() {
        let text = r#"{"flow": "f", "as_of": "source", "offsets": [
            {"group": "g", "topic": "t", "partition": 0, "offset": 1, "translated_topic": "a.t",
             "translated_offset": 1, "worth": "exact", "metadata": "m"}]}"#;
        let given = read(text.as_bytes(), "f").unwrap().remove(0);
        assert_eq!((given.group.as_deref(), given.metadata.as_deref()), (Some("g"), Some("m")));
        assert!(given.more.is_empty());
        assert_eq!(
            read(text.as_bytes(), "other").unwrap_err(),
            ["is about flow f, not other: name that flow with --flow"]
        );
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        assert_eq!(
            mistakes(
                r#"[{"partition": 0, "offset": 0}, {"topic": "t", "offset": 0}, {"topic": "t", "partition": 0},
                    {"topic": "t", "partition": -1, "offset": 0}, {"topic": "t", "partition": 0, "offset": "7"},
                    {"topic": 5, "partition": 0, "offset": 7}, 9,
                    {"topic": "t", "partition": 3000000000, "offset": 7},
                    {"topic": "t", "partition": 0, "offset": 7, "group": 1}]"#
            ),
            [
                "offsets[0]: topic is missing",
                "offsets[1]: partition is missing",
                "offsets[2]: offset is missing",
                "offsets[3]: partition: -1 is not a number from 0 on",
                "offsets[4]: offset: \"7\" is not a number from 0 on",
                "offsets[5]: topic: 5 is not a name",
                "offsets[6]: is not an object",
                "offsets[7]: partition: 3000000000 is more than Kafka has",
                "offsets[8]: group: 1 is not text",
            ]
        );
        assert_eq!(mistakes(&format!("[{}1]", "1,".repeat(11))).last().unwrap(), "and 2 more");
        assert!(mistakes("{").remove(0).starts_with("is not JSON: "));
        assert_eq!(mistakes("{}"), ["has no list `offsets`"]);
        assert_eq!(mistakes("7"), ["is neither a list nor an object with a list `offsets`"]);
    }
}
