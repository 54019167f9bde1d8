//! Compresses and decompresses the records inside a batch.

use std::fmt;
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use xxhash_rust::xxh32::xxh32;

use super::BatchProblem;
use super::allowance::Allowance;
use crate::model::Codec;

impl Codec {
    /// Decompresses what a batch of format `magic` holds; what comes out is taken from the allowance.
    pub(super) fn decompress(
        self,
        magic: i8,
        data: &[u8],
        allowance: &mut Allowance,
    ) -> Result<Vec<u8>, BatchProblem> {
        let out = match self {
            Self::None => bounded(data, data.len(), allowance),
            Self::Gzip => bounded(MultiGzDecoder::new(data), data.len(), allowance),
            Self::Snappy => return unsnap(data, allowance),
            Self::Lz4 => unlz4(magic, data, allowance),
            Self::Zstd => unzstd(data, allowance),
        };
        let out = out.map_err(|error| self.unreadable(&error))?;
        allowance.take::<u8>(out.len())?;
        Ok(out)
    }

    /// Compresses for a batch of magic 2, at each library's default level.
    pub(super) fn compress(self, data: &[u8]) -> Result<Vec<u8>, BatchProblem> {
        let out = match self {
            Self::None => Ok(data.to_vec()),
            Self::Gzip => gzip(data),
            Self::Snappy => snap_xerial(data),
            Self::Lz4 => lz4(data),
            Self::Zstd => zstd::bulk::compress(data, zstd::DEFAULT_COMPRESSION_LEVEL),
        };
        out.map_err(|error| BatchProblem::Compress { codec: self, detail: error.to_string() })
    }

    fn unreadable(self, error: &dyn fmt::Display) -> BatchProblem {
        BatchProblem::Decompress { codec: self, detail: error.to_string() }
    }
}

/// Reads to the end, or one byte beyond the allowance: enough for the caller to see that it was passed.
fn bounded(reader: impl Read, input_bytes: usize, allowance: &Allowance) -> io::Result<Vec<u8>> {
    let limit = allowance.left_bytes().saturating_add(1);
    let mut out = Vec::with_capacity(input_bytes.saturating_mul(2).min(limit));
    reader.take(limit as u64).read_to_end(&mut out)?;
    Ok(out)
}

fn gzip(data: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data)?;
    encoder.finish()
}

/// Largest window that is allocated to decompress zstd, as a power of two: 128 MiB, the library's own default and
/// the largest window that its levels use.
const ZSTD_WINDOW_LOG: u32 = 27;

fn unzstd(data: &[u8], allowance: &Allowance) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::Decoder::with_buffer(data)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    bounded(decoder, data.len(), allowance)
}

const LZ4_MAGIC: [u8; 4] = 0x184D_2204_u32.to_le_bytes();
/// Magic number, flags and block descriptor of an LZ4 frame.
const LZ4_FIXED_BYTES: usize = 6;

/// Kafka's readers take independent blocks only, and its own writer uses blocks of 64 KiB.
fn lz4(data: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder =
        FrameEncoder::with_frame_info(FrameInfo::new().block_size(BlockSize::Max64KB), Vec::new());
    encoder.write_all(data)?;
    Ok(encoder.finish()?)
}

fn unlz4(magic: i8, data: &[u8], allowance: &Allowance) -> io::Result<Vec<u8>> {
    // Skippable and legacy frames, which Kafka doesn't read either, stop here.
    if data.len() <= LZ4_FIXED_BYTES || data[..4] != LZ4_MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "no LZ4 frame"));
    }
    if magic > 0 {
        return bounded(FrameDecoder::new(data), data.len(), allowance);
    }
    // Writers of magic 0 computed the descriptor's checksum over the wrong bytes (KIP-57): it is set right here.
    let flags = data[4];
    let optional = if flags & 0x08 != 0 { 8 } else { 0 } + if flags & 0x01 != 0 { 4 } else { 0 };
    let Some((head, body)) = data.split_at_checked(LZ4_FIXED_BYTES + optional + 1) else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let mut head = head.to_vec();
    let checksum = xxh32(&head[4..LZ4_FIXED_BYTES + optional], 0);
    head[LZ4_FIXED_BYTES + optional] = (checksum >> 8) as u8;
    bounded(FrameDecoder::new(head.chain(body)), data.len(), allowance)
}

/// What xerial's stream starts with: its name, its version and the oldest version that can read it.
const XERIAL_MAGIC: [u8; 8] = *b"\x82SNAPPY\x00";
const XERIAL_VERSIONS: [u8; 8] = [0, 0, 0, 1, 0, 0, 0, 1];
const XERIAL_HEADER_BYTES: usize = XERIAL_MAGIC.len() + XERIAL_VERSIONS.len();
/// Bytes per compressed block, as xerial's writer cuts them.
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;
/// Snappy's densest element makes 64 bytes of 3, so it never grows more than this. A claim above is a lie.
const SNAPPY_MAX_RATIO: usize = 22;

fn snap_xerial(data: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = [XERIAL_MAGIC, XERIAL_VERSIONS].concat();
    let mut encoder = snap::raw::Encoder::new();
    for block in data.chunks(XERIAL_BLOCK_BYTES) {
        let compressed = encoder.compress_vec(block)?;
        out.extend_from_slice(&(compressed.len() as u32).to_be_bytes());
        out.extend_from_slice(&compressed);
    }
    Ok(out)
}

fn unsnap(data: &[u8], allowance: &mut Allowance) -> Result<Vec<u8>, BatchProblem> {
    let mut out = Vec::new();
    if !data.starts_with(&XERIAL_MAGIC) {
        unsnap_block(data, &mut out, allowance)?;
        return Ok(out);
    }
    let short = || Codec::Snappy.unreadable(&"it ends within a block");
    let mut rest = data;
    while !rest.is_empty() {
        // Streams may be concatenated, as xerial's reader allows.
        if rest.starts_with(&XERIAL_MAGIC) {
            rest = rest.get(XERIAL_HEADER_BYTES..).ok_or_else(short)?;
            continue;
        }
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        let (block, after) =
            after.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(short)?;
        unsnap_block(block, &mut out, allowance)?;
        rest = after;
    }
    Ok(out)
}

fn unsnap_block(block: &[u8], out: &mut Vec<u8>, allowance: &mut Allowance) -> Result<(), BatchProblem> {
    let claimed = snap::raw::decompress_len(block).map_err(|error| Codec::Snappy.unreadable(&error))?;
    if claimed > block.len().saturating_mul(SNAPPY_MAX_RATIO) {
        return Err(Codec::Snappy.unreadable(&"it claims to hold more than it can"));
    }
    allowance.take::<u8>(claimed)?;
    let start = out.len();
    out.resize(start + claimed, 0);
    let written = snap::raw::Decoder::new()
        .decompress(block, &mut out[start..])
        .map_err(|error| Codec::Snappy.unreadable(&error))?;
    out.truncate(start + written);
    Ok(())
}
