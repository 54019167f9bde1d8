//! Length-prefixed frames, as Kafka puts every request and response on a connection.

use std::io;
use std::sync::Arc;

use bytes::{BufMut, Bytes};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::buffers::Buffers;

/// Largest response that is read.
///
/// Brokers cap what they take at 100 MiB (`socket.request.max.bytes`), so no stored batch is larger; a response
/// holds at most one batch beyond what was asked for. What claims more is not a Kafka frame.
pub(super) const MAX_RESPONSE_BYTES: usize = 128 << 20;

/// How much is read before a frame's length is known: most answers but those of Fetch are smaller, and of a large
/// frame no more than this is copied.
const READ_AHEAD: usize = 4096;

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

/// Reads frames from a stream, each without its length.
///
/// One read takes as much as the stream has: whole small frames, several of them if they are there, and of a large
/// one all that has come, right into its place.
pub(super) struct FrameReader {
    /// What was read beyond the frame before.
    ahead: Box<[u8; READ_AHEAD]>,
    start: usize,
    end: usize,
    buffers: Arc<Buffers>,
}

impl FrameReader {
    /// A reader at the start of a stream; large frames get their memory from `buffers`.
    pub(super) fn new(buffers: Arc<Buffers>) -> Self {
        Self { ahead: Box::new([0; READ_AHEAD]), start: 0, end: 0, buffers }
    }

    /// Reads the next frame, and tells by `moved` whenever more of it has come. Not cancel safe.
    pub(super) async fn read<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut R,
        moved: impl Fn(),
    ) -> Result<Bytes, FrameError> {
        let prefix = self.read_prefix(reader).await?;
        moved();
        let length = check_length(prefix)?;
        let mut frame = self.buffers.lease(length);
        let have = length.min(self.end - self.start);
        frame.spare().put_slice(&self.ahead[self.start..self.start + have]);
        self.start += have;
        while frame.missing() > 0 {
            if frame.missing() < READ_AHEAD {
                // The rest is small: what follows it may be taken along.
                self.read_ahead(reader).await?;
                let have = frame.missing().min(self.end - self.start);
                frame.spare().put_slice(&self.ahead[self.start..self.start + have]);
                self.start += have;
            } else if reader.read_buf(&mut frame.spare()).await? == 0 {
                return Err(cut_short());
            }
            moved();
        }
        Ok(frame.freeze())
    }

    async fn read_prefix<R: AsyncRead + Unpin>(&mut self, reader: &mut R) -> Result<[u8; 4], FrameError> {
        loop {
            if let Some(prefix) = self.ahead[self.start..self.end].first_chunk::<4>() {
                let prefix = *prefix;
                self.start += prefix.len();
                return Ok(prefix);
            }
            let between = self.start == self.end;
            match self.read_ahead(reader).await {
                Err(FrameError::Io(error)) if between && error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(FrameError::Eof);
                }
                other => other?,
            }
        }
    }

    /// Adds to what was read ahead; there is room, as less than a prefix is left of it.
    async fn read_ahead<R: AsyncRead + Unpin>(&mut self, reader: &mut R) -> Result<(), FrameError> {
        self.ahead.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        match reader.read(&mut self.ahead[self.end..]).await? {
            0 => Err(cut_short()),
            read => {
                self.end += read;
                Ok(())
            }
        }
    }
}

fn cut_short() -> FrameError {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
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

    async fn read(mut bytes: &[u8]) -> Result<Bytes, FrameError> {
        FrameReader::new(Arc::default()).read(&mut bytes, || {}).await
    }

    #[tokio::test]
    async fn a_frame_is_read_to_its_end_and_not_beyond() {
        let mut stream = &b"\0\0\0\x03abc\0\0\0\0\0\0\0\x02de"[..];
        let mut frames = FrameReader::new(Arc::default());
        for expected in ["abc", "", "de"] {
            assert_eq!(frames.read(&mut stream, || {}).await.unwrap(), expected);
        }
        assert!(matches!(frames.read(&mut stream, || {}).await, Err(FrameError::Eof)));
    }

    #[tokio::test]
    async fn frames_of_all_sizes_are_read_whatever_the_pieces_they_come_in() {
        let sizes = [0, 1, 3, READ_AHEAD - 5, READ_AHEAD, 70_000, 2, READ_AHEAD + 1, 200_000, 9];
        let frame = |(n, size): (usize, usize)| (0..size).map(|at| (at * 7 + n) as u8).collect::<Vec<u8>>();
        let frames: Vec<Vec<u8>> = sizes.into_iter().enumerate().map(frame).collect();
        let lengths = frames.iter().map(|frame| u32::try_from(frame.len()).unwrap().to_be_bytes());
        let stream = lengths.zip(&frames).flat_map(|(length, frame)| [&length, &frame[..]].concat());
        let stream: Vec<u8> = stream.collect();
        for piece in [1, 5, READ_AHEAD, READ_AHEAD + 3, 100_000, stream.len()] {
            let mut script = in_pieces(&stream, piece);
            let mut reader = FrameReader::new(Arc::default());
            for frame in &frames {
                assert_eq!(reader.read(&mut script, || {}).await.unwrap(), frame, "in pieces of {piece}");
            }
            assert!(matches!(reader.read(&mut script, || {}).await, Err(FrameError::Eof)));
        }
    }

    /// A stream that gives this many bytes at a time.
    #[expect(clippy::disallowed_methods, reason = "a task of a test, which ends with it")]
    fn in_pieces(bytes: &[u8], piece: usize) -> impl AsyncRead + Unpin {
        let (mut near, far) = tokio::io::duplex(piece);
        let bytes = bytes.to_vec();
        tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut near, &bytes).await.unwrap();
        });
        far
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
