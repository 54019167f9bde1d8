//! The checksum of a batch whose header changes while its body stays.

use super::header::{CHECKED_FROM, HEADER_BYTES};

/// CRC-32C's polynomial, in the bit order of the checksum: the highest bit is that of x⁰.
const POLYNOMIAL: u32 = 0x82F6_3B78;
/// x⁰ in that order.
const ONE: u32 = 1 << 31;

/// What a checksum is multiplied with when zero bytes follow: `ZEROS[k][d]` stands for `d · 256^k` of them.
///
/// Four bytes of a length pick at most four factors. Deriving them anew for each batch takes a hundred times as long.
static ZEROS: [[u32; 256]; 4] = zeros();

/// The checksum after `new_head` has replaced `old_head` before a body of `body_bytes`.
///
/// CRC-32C is linear: what the body adds is the same before and after, so the body is not read. A checksum that was
/// wrong stays wrong, and the target's broker finds it too.
pub(super) fn replaced_head(
    old_crc: u32,
    old_head: &[u8; HEADER_BYTES],
    new_head: &[u8; HEADER_BYTES],
    body_bytes: usize,
) -> u32 {
    let difference = crc32c::crc32c(&old_head[CHECKED_FROM..]) ^ crc32c::crc32c(&new_head[CHECKED_FROM..]);
    old_crc ^ followed_by_zeros(difference, body_bytes)
}

/// What a difference between two checksums becomes when the same `count` bytes follow. `count` is below 2³², as the
/// length of any batch is.
fn followed_by_zeros(mut difference: u32, count: usize) -> u32 {
    for (factors, digit) in ZEROS.iter().zip(count.to_le_bytes()) {
        if digit != 0 {
            difference = product(factors[usize::from(digit)], difference);
        }
    }
    difference
}

/// The product of two polynomials over GF(2), modulo CRC-32C's.
const fn product(a: u32, mut b: u32) -> u32 {
    let mut sum = 0;
    let mut bit = 0;
    while bit < u32::BITS {
        // Masks instead of branches: the bits are random, and a wrong guess costs more than the work.
        sum ^= b & 0_u32.wrapping_sub((a >> (31 - bit)) & 1);
        b = (b >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(b & 1));
        bit += 1;
    }
    sum
}

const fn zeros() -> [[u32; 256]; 4] {
    let mut table = [[ONE; 256]; 4];
    // x⁸: one zero byte.
    let mut step = ONE >> 8;
    let mut k = 0;
    while k < 4 {
        let mut digit = 1;
        while digit < 256 {
            table[k][digit] = product(table[k][digit - 1], step);
            digit += 1;
        }
        step = product(table[k][255], step);
        k += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The library derives the factors anew, by squaring matrices; the outcome is the same.
        #[test]
        fn zeros_are_those_of_the_library(difference: u32, count in 0..=u32::MAX as usize) {
            prop_assert_eq!(
                followed_by_zeros(difference, count),
                crc32c::crc32c_combine(difference, 0, count)
            );
        }

        #[test]
        fn a_replaced_head_gives_the_checksum_of_the_whole(
            old in proptest::array::uniform32(any::<u8>()),
            new in proptest::array::uniform32(any::<u8>()),
            body in proptest::collection::vec(any::<u8>(), 0..2000),
        ) {
            let head = |fill: [u8; 32]| {
                let mut head = [7; HEADER_BYTES];
                head[HEADER_BYTES - 32..].copy_from_slice(&fill);
                head
            };
            let plain = |head: &[u8; HEADER_BYTES]| crc32c::crc32c(&[&head[CHECKED_FROM..], &body].concat());
            let (old, new) = (head(old), head(new));
            prop_assert_eq!(replaced_head(plain(&old), &old, &new, body.len()), plain(&new));
            // A wrong checksum stays wrong, by the same bits.
            prop_assert_eq!(replaced_head(plain(&old) ^ 4, &old, &new, body.len()), plain(&new) ^ 4);
        }
    }
}
