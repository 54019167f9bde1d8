//! Who leads, for those who connect to leaders themselves.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;

use crate::wire::Leader;
use crate::wire::testing::{EPOCH, Scripted, place};

#[tokio::test]
async fn leaders_are_asked_for_once_and_again_when_forgotten() {
    let broker = Scripted::start(|request| match request.api {
        ApiKey::Metadata => {
            let mut answer = request.metadata();
            for topic in &mut answer.topics {
                match topic.name.as_ref().map(|name| name.as_str()) {
                    Some("missing") => {
                        topic.error_code = ResponseError::UnknownTopicOrPartition.code();
                        topic.partitions.clear();
                    }
                    Some("leaderless") => topic.partitions[0].leader_id = (-1).into(),
                    _ => {}
                }
            }
            request.answer(answer)
        }
        _ => request.standard(),
    })
    .await;
    let wire = broker.client();
    let leader = Leader { broker: 1, epoch: EPOCH };
    let places = ["orders", "missing", "clicks", "leaderless"].map(place);
    assert_eq!(wire.known_leader(&places[0]), None);
    let answers = wire.learn_leaders(&places).await.unwrap();
    assert_eq!(broker.count(ApiKey::Metadata), 1);
    assert!(answers.iter().map(|(place, _)| place).eq(&places));
    assert_eq!(answers[0].1.as_ref().unwrap(), &leader);
    assert!(answers[1].1.as_ref().unwrap_err().is_unknown_topic());
    assert_eq!(answers[2].1.as_ref().unwrap(), &leader);
    let error = answers[3].1.as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ResponseError::LeaderNotAvailable));
    assert!(error.to_string().contains("leaderless-0"), "{error}");

    assert_eq!(wire.known_leader(&places[0]), Some(leader));
    wire.learn_leaders(&[places[0].clone(), places[2].clone()]).await.unwrap();
    assert_eq!(broker.count(ApiKey::Metadata), 1);
    wire.forget_leader(&places[0].topic);
    assert_eq!((wire.known_leader(&places[0]), wire.known_leader(&places[2])), (None, Some(leader)));
    wire.learn_leaders(&places[..1]).await.unwrap();
    assert_eq!(wire.known_leader(&places[0]), Some(leader));
    assert_eq!(broker.count(ApiKey::Metadata), 2);
}
