//! Between calls and frames: headers and the codec around them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use super::call::Call;

/// The codec's errors are of a type that is not ours to name: any error will do.
pub(super) type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The header of a request.
pub(super) fn request_header<C: Call>(version: i16, correlation: i32, client_id: &StrBytes) -> RequestHeader {
    let mut header = RequestHeader::default();
    header.request_api_key = C::API as i16;
    header.request_api_version = version;
    header.correlation_id = correlation;
    header.client_id = Some(client_id.clone());
    header
}

/// A request as a frame, length included.
pub(super) fn encode<C: Call>(
    request: &C,
    version: i16,
    correlation: i32,
    client_id: &StrBytes,
) -> Result<Bytes> {
    let header = request_header::<C>(version, correlation, client_id);
    let header_version = C::header_version(version);
    let length = header.compute_size(header_version)? + request.compute_size(version)?;
    let mut frame = BytesMut::with_capacity(4 + length);
    frame.put_u32(u32::try_from(length)?);
    header.encode(&mut frame, header_version)?;
    request.encode(&mut frame, version)?;
    Ok(frame.freeze())
}

/// The answer in a frame without its length; its larger parts share the frame's memory.
pub(super) fn decode<C: Call>(mut frame: Bytes, mut version: i16) -> Result<C::Answer> {
    ResponseHeader::decode(&mut frame, C::Answer::header_version(version))?;
    // A broker that doesn't speak our version of ApiVersions answers in version 0, so that anybody can read it.
    if C::API == ApiKey::ApiVersions
        && frame.get(..2).map(|mut bytes| bytes.get_i16()) == Some(ResponseError::UnsupportedVersion.code())
    {
        version = 0;
    }
    let answer = C::Answer::decode(&mut frame, version)?;
    if frame.has_remaining() {
        return Err(format!("{} bytes too many", frame.len()).into());
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
    use kafka_protocol::messages::{FetchRequest, TopicName};

    use super::*;

    /// A broker reads as many bytes as the frame says.
    #[test]
    fn a_frame_is_as_long_as_it_says() {
        for topics in [0, 1, 126, 127, 128, 5_000, 16_382, 16_383, 16_384, 20_000] {
            let name = |number| TopicName(StrBytes::from_string(format!("topic-{number}")));
            let asked = |number| {
                let partition = FetchPartition::default().with_partition(number).with_fetch_offset(7);
                FetchTopic::default().with_topic(name(number)).with_partitions(vec![partition])
            };
            let forgotten =
                |number| ForgottenTopic::default().with_topic(name(number)).with_partitions(vec![number]);
            let request = FetchRequest::default()
                .with_topics((0..topics).map(asked).collect())
                .with_forgotten_topics_data((0..topics).map(forgotten).collect());
            for version in 7..=12 {
                let mut frame = encode(&request, version, 1, &StrBytes::from_static_str("me")).unwrap();
                let said = frame.get_u32() as usize;
                assert_eq!(said, frame.len(), "{topics} topics in version {version}");
            }
        }
    }
}
