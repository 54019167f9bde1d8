//! InitProducerId, for idempotent producers without transactions.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::Call;

pub(super) fn answer(call: &Call, asked: &InitProducerIdRequest) -> InitProducerIdResponse {
    let throttle_ms = call.throttle_ms();
    let refusal = match asked.transactional_id.as_ref().map(|id| id.as_str()) {
        None => call.fault(&mut call.state(), ""),
        Some("") => Some(ResponseError::InvalidRequest),
        Some(_) => Some(ResponseError::UnsupportedVersion),
    };
    let answer = InitProducerIdResponse::default().with_throttle_time_ms(throttle_ms);
    if let Some(code) = refusal {
        return answer.with_error_code(code.code()).with_producer_id((-1).into()).with_producer_epoch(-1);
    }
    // A new id each time, whatever the client had before.
    let id = call.change(|state| {
        state.producers_made += 1;
        state.producers_made
    });
    answer.with_producer_id(id.into()).with_producer_epoch(0)
}
