//! A request as pieces of memory that are written one after the other, without being put together first.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Pieces of a request, in order. None is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestPieces {
    pieces: VecDeque<Bytes>,
    remaining: usize,
}

impl RequestPieces {
    /// Appends a piece.
    pub(super) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.remaining += piece.len();
            self.pieces.push_back(piece);
        }
    }
}

impl From<Bytes> for RequestPieces {
    fn from(piece: Bytes) -> Self {
        let mut chunks = Self::default();
        chunks.push(piece);
        chunks
    }
}

impl Buf for RequestPieces {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining, "advanced by {count} where {} bytes remain", self.remaining);
        self.remaining -= count;
        let mut left = count;
        while left > 0 {
            let Some(front) = self.pieces.front_mut() else { return };
            if left < front.len() {
                front.advance(left);
                return;
            }
            left -= front.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use proptest::prelude::*;
    use tokio::io::{AsyncWrite, AsyncWriteExt};

    use super::*;

    /// Takes as many bytes at a time as it is told.
    struct Sips {
        sizes: Vec<usize>,
        turn: usize,
        taken: Vec<u8>,
        vectored: bool,
    }

    impl AsyncWrite for Sips {
        fn poll_write(
            self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            self.poll_write_vectored(context, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<std::io::Result<usize>> {
            let size = self.sizes[self.turn % self.sizes.len()];
            self.turn += 1;
            let offered: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let taken = &offered[..size.min(offered.len())];
            self.taken.extend_from_slice(taken);
            Poll::Ready(Ok(taken.len()))
        }

        fn is_write_vectored(&self) -> bool {
            self.vectored
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn every_byte_is_written_once_and_in_order(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..100),
            sizes in prop::collection::vec(1..90_usize, 1..8),
            vectored: bool,
        ) {
            let mut chunks = RequestPieces::default();
            for piece in &pieces {
                chunks.push(Bytes::from(piece.clone()));
            }
            let whole = pieces.concat();
            prop_assert_eq!(chunks.remaining(), whole.len());
            let mut sips = Sips { sizes, turn: 0, taken: Vec::new(), vectored };
            futures::executor::block_on(async {
                while chunks.has_remaining() {
                    assert!(sips.write_buf(&mut chunks).await.unwrap() > 0);
                }
            });
            prop_assert_eq!(&sips.taken, &whole);
            prop_assert!(!chunks.has_remaining());
        }
    }

    #[test]
    fn pieces_are_offered_together() {
        let mut chunks = RequestPieces::from(Bytes::from_static(b"head"));
        chunks.push(Bytes::new());
        chunks.push(Bytes::from_static(b"body"));
        let mut slices = [IoSlice::new(&[]); 4];
        assert_eq!(chunks.chunks_vectored(&mut slices), 2);
        assert_eq!((&*slices[0], &*slices[1]), (&b"head"[..], &b"body"[..]));
    }
}
