//! `/offsets`, over flows and maps that the test makes.

use serde_json::{Value, json};

use super::{Page, get, run};
use crate::mesh::{FlowEnds, OffsetsView};
use crate::mesh::{GroupBoard, GroupsSnapshot};
use crate::model::groups::{GroupPartitionStatus, GroupStatus, Worth};
use crate::model::{FlowName, Segment, TopicId, TopicPartition};
use crate::offsets::{Direction, MapIdentity, OffsetMap, TranslatedOffset};

/// Two flows; the first has a map of `orders-0` (source 100 is target 0) and a group.
pub(super) struct KnownOffsets {
    map: OffsetMap,
    board: GroupBoard,
}

impl Default for KnownOffsets {
    fn default() -> Self {
        let identity = MapIdentity {
            source_topic_id: TopicId::default(),
            remote_topic: "east.orders".into(),
            target_topic_id: TopicId::default(),
        };
        let mut map = OffsetMap::new(identity, 100, 0);
        map.acknowledged(&[Segment { source_base: 100, target_base: 0, count: 50 }], 150);
        let board = GroupBoard::default();
        let partition = GroupPartitionStatus {
            source: TopicPartition::new("orders", 0),
            target: TopicPartition::new("east.orders", 0),
            source_offset: Some(110),
            source_lag: Some(40),
            translated: Some(10),
            worth: Some(Worth::Exact),
            target_offset: Some(10),
            target_lag: Some(40),
            redelivery: Some(0),
            refused: None,
        };
        board.replace(vec![GroupStatus {
            group: "billing".to_owned(),
            source_state: "stable".to_owned(),
            target_state: "empty".to_owned(),
            partitions: vec![partition],
            last_sync_ms: Some(5),
            refused: None,
        }]);
        Self { map, board }
    }
}

impl OffsetsView for KnownOffsets {
    fn flows(&self) -> Vec<FlowEnds> {
        let ends = |flow: &str, from: &str, to: &str| FlowEnds {
            flow: flow.into(),
            from: from.into(),
            to: to.into(),
        };
        vec![ends("there", "east", "west"), ends("back", "west", "east")]
    }

    fn translate(
        &self,
        flow: &FlowName,
        partition: &TopicPartition,
        offset: i64,
        direction: Direction,
    ) -> Option<TranslatedOffset> {
        let topic = if direction == Direction::Forward { "orders" } else { "east.orders" };
        let known = flow.as_str() == "there" && *partition == TopicPartition::new(topic, 0);
        known.then(|| {
            TranslatedOffset::by_map(&TopicPartition::new("orders", 0), &self.map, offset, direction)
        })
    }

    fn groups(&self, flow: &FlowName) -> Option<GroupsSnapshot> {
        match flow.as_str() {
            "there" => Some(self.board.snapshot()),
            _ => Some(GroupBoard::default().snapshot()),
        }
    }
}

async fn offsets(query: &str) -> Page {
    get(run().await.address, &format!("/offsets{query}")).await
}

/// A page that refuses, with its reason.
async fn refused(query: &str) -> (u16, String) {
    let page = offsets(query).await;
    let reason = page.json()["error"].as_str().map(str::to_owned);
    (page.code, reason.expect("a reason as JSON"))
}

#[tokio::test]
async fn an_offset_is_translated_both_ways() {
    let there = offsets("?flow=there&topic=orders&partition=0&offset=120").await;
    assert_eq!(there.code, 200);
    assert_eq!(
        there.json(),
        json!({
            "flow": "there", "from": "east", "to": "west", "direction": "forward",
            "offsets": [{
                "topic": "orders", "partition": 0, "offset": 120,
                "translated_topic": "east.orders", "translated_offset": 20, "worth": "exact",
            }],
        })
    );
    let back =
        offsets("?flow=east-%3Ewest&topic=east.orders&partition=0&offset=20&reverse=true").await.json();
    assert_eq!(
        (&back["direction"], &back["offsets"][0]["translated_offset"]),
        (&json!("reverse"), &json!(120))
    );
}

#[tokio::test]
async fn groups_are_shown_by_flow_and_by_name() {
    let all = offsets("").await.json();
    assert_eq!(all["flows"].as_array().map(Vec::len), Some(2));
    let (there, back) = (&all["flows"][0], &all["flows"][1]);
    assert_eq!(
        (&there["from"], &there["to"], &there["left_out"]),
        (&json!("east"), &json!("west"), &json!(0))
    );
    assert!(there["as_of_ms"].is_i64(), "{there}");
    let group = &there["groups"][0];
    assert_eq!((&group["group"], &group["source_state"]), (&json!("billing"), &json!("stable")));
    assert_eq!(group["partitions"][0]["translated"], 10);
    assert_eq!((&back["as_of_ms"], &back["groups"]), (&Value::Null, &json!([])));
    let one = offsets("?flow=there&group=billing").await.json();
    assert_eq!(one["flows"][0]["groups"], there["groups"]);
}

#[tokio::test]
async fn what_is_not_known_or_makes_no_sense_is_said() {
    let page = offsets("?flow=nowhere").await;
    assert_eq!((page.code, &page.json()["flows"]), (404, &json!(["there", "back"])));
    let (code, why) = refused("?group=audit").await;
    assert_eq!((code, why.as_str()), (404, "no flow follows a group \"audit\" with committed offsets"));
    let (code, why) = refused("?flow=there&topic=orders&partition=1&offset=0").await;
    assert_eq!((code, why.as_str()), (404, "flow there has no offset map for orders-1 (named as on east)"));
    let (code, why) = refused("?topic=orders&partition=0&offset=0").await;
    assert_eq!((code, why.as_str()), (400, "name a flow: flow=there or flow=back"));
    for query in [
        "?flow=there&topic=orders",
        "?flow=there&topic=orders&partition=0&offset=-1",
        "?flow=there&topic=orders&partition=zero&offset=1",
        "?flow=there&topic=orders&partition=4000000000&offset=1",
        "?flow=there&topic=orders&partition=0&offset=1&group=g",
        "?reverse=true",
        "?topics=orders",
    ] {
        assert_eq!(refused(query).await.0, 400, "{query}");
    }
}
