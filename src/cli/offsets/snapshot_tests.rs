//! What the commands about offsets print as JSON.

use serde_json::{Map, Value};

use super::document::{Document, OffsetEntry};
use super::groups;
use crate::http::tests::snapshot::full_group;
use crate::offsets::{Direction, TranslatedOffset, Translation};
use crate::snapshot::{self, json_shape};
use crate::topology::testing::mesh;

fn document_sample() -> String {
    let answer = TranslatedOffset::new(&"orders".into(), 0, 1, &"east.orders".into(), Translation::Exact(2));
    let more = Map::from_iter([("more".to_owned(), Value::from("kept"))]);
    let entry = OffsetEntry {
        group: Some("billing".to_owned()),
        answer,
        metadata: Some("metadata".to_owned()),
        more,
    };
    let flow = &mesh(&[("A", "B", "")]).flows["A-B"];
    let document = Document::new(flow, Direction::Forward, vec![entry]);
    json_shape(&document.told_by("source").committed_for("billing"))
}

fn groups_sample() -> String {
    let (flow, from, to) = (&"east-west".into(), &"east".into(), &"west".into());
    json_shape(&groups::GroupsReport { flow, from, to, as_of: "source", groups: &[full_group()] })
}

#[test]
fn the_snapshot_of_offsets_holds() {
    let worth = [Translation::Exact(1), Translation::EarliestSafe(1), Translation::Unknown]
        .map(|answer| answer.worth().as_str());
    let directions = serde_json::to_string(&[Direction::Forward, Direction::Reverse]).expect("words");
    let text = format!(
        "## offsets translate, export and import --json\n{}\n## offsets groups --json\n{}\n\
         ## worth\n{}\n\n## direction\n{directions}\n",
        document_sample(),
        groups_sample(),
        worth.join("\n"),
    );
    snapshot::check("offsets", &text);
}
