//! ApiVersions: what is offered.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::Call;

pub(super) fn answer(call: &Call, asked: &ApiVersionsRequest) -> ApiVersionsResponse {
    let sound = |text: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        text.bytes().all(inner) && ends(text.as_bytes().first()) && ends(text.as_bytes().last())
    };
    let names = [&asked.client_software_name, &asked.client_software_version];
    if call.version() >= 3 && !names.into_iter().all(|name| sound(name)) {
        return ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code());
    }
    offered(call).with_throttle_time_ms(call.throttle_ms())
}

/// A version that isn't known is answered in version 0, which every client understands (KIP-511).
pub(super) fn refuse(call: &Call) -> Bytes {
    let mut own = offered(call);
    own.api_keys.retain(|range| range.api_key == ApiKey::ApiVersions as i16);
    let answer = own.with_error_code(ResponseError::UnsupportedVersion.code());
    call.request.frame_in(0, call.request.correlation, &answer)
}

fn offered(call: &Call) -> ApiVersionsResponse {
    let ranges = call.shared.offered.iter().map(|(api, min, max)| {
        ApiVersion::default().with_api_key(*api as i16).with_min_version(*min).with_max_version(*max)
    });
    ApiVersionsResponse::default().with_api_keys(ranges.collect())
}
