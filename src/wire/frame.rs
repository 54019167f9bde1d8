//! Length-prefixed frames, as Kafka puts every request and response on a connection.

use std::io;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Largest response that is read.
///
/// Brokers cap what they take at 100 MiB (`socket.request.max.bytes`), so no stored batch is larger; a response
/// holds at most one batch beyond what was asked for. What claims more is not a Kafka frame.
pub(super) const MAX_RESPONSE_BYTES: usize = 128 << 20;

/// Why no frame could be read.
#[derive(Debug, Error)]
pub(super) enum FrameError {
    /// The other side closed the connection between two frames.
    #[error("the broker closed the connection")]
    Eof,
    /// Reading failed, or the connection ended within a frame.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The length can't be right.
    #[error("a frame of {0} bytes was announced, more than {MAX_RESPONSE_BYTES}; is this a Kafka port?")]
    Length(u32),
    /// The bytes look like a TLS record.
    #[error("the broker speaks TLS on this port, but `security.protocol` says plaintext")]
    Tls,
    /// The bytes look like HTTP.
    #[error("an HTTP server answered on this port, not a Kafka broker")]
    Http,
}

/// Reads one frame without its length.
pub(super) async fn read_frame<R: AsyncRead + Unpin>(reader: &mut R) -> Result<Bytes, FrameError> {
    let mut prefix = [0u8; 4];
    let mut have = 0;
    while have < prefix.len() {
        match reader.read(&mut prefix[have..]).await? {
            0 if have == 0 => return Err(FrameError::Eof),
            0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            read => have += read,
        }
    }
    let length = check_length(prefix)?;
    let mut frame = BytesMut::with_capacity(length);
    while frame.len() < length {
        let missing = length - frame.len();
        if (&mut *reader).take(missing as u64).read_buf(&mut frame).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(frame.freeze())
}

/// Checks an announced length, and tells well-known other protocols by their first bytes.
fn check_length(prefix: [u8; 4]) -> Result<usize, FrameError> {
    let length = u32::from_be_bytes(prefix);
    if length as usize <= MAX_RESPONSE_BYTES {
        return Ok(length as usize);
    }
    Err(match prefix {
        // A TLS alert (21) or handshake (22) record of TLS 1.x (version 3.x).
        [21 | 22, 3, ..] => FrameError::Tls,
        [b'H', b'T', b'T', b'P'] => FrameError::Http,
        _ => FrameError::Length(length),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Result<Bytes, FrameError> {
        let mut reader = bytes;
        read_frame(&mut reader).await
    }

    #[tokio::test]
    async fn a_frame_is_read_to_its_end_and_not_beyond() {
        let mut reader = &b"\0\0\0\x03abcdef"[..];
        assert_eq!(read_frame(&mut reader).await.unwrap(), "abc");
        assert_eq!(reader, b"def");
        assert_eq!(read(b"\0\0\0\0").await.unwrap(), "");
    }

    #[tokio::test]
    async fn other_protocols_are_told_by_name() {
        assert!(matches!(read(&[21, 3, 3, 0, 2, 2, 80]).await, Err(FrameError::Tls)));
        assert!(matches!(read(b"HTTP/1.1 400 Bad Request").await, Err(FrameError::Http)));
        assert!(matches!(read(b"\xff\xff\xff\xff").await, Err(FrameError::Length(u32::MAX))));
        assert!(matches!(read(b"\x08\0\0\x01").await, Err(FrameError::Length(_))));
    }

    #[tokio::test]
    async fn an_end_within_a_frame_differs_from_one_between() {
        assert!(matches!(read(b"").await, Err(FrameError::Eof)));
        assert!(matches!(read(b"\0\0").await, Err(FrameError::Io(_))));
        assert!(matches!(read(b"\0\0\0\x05abc").await, Err(FrameError::Io(_))));
    }
}
