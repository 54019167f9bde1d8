//! What the benches mirror: text that compresses as applications' JSON does.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Distinct words in the texts; the first ones are used most, as in any language.
const WORDS: usize = 500;
/// Distinct values. At 1 KB they are 8 MB, over a hundred times the window in which lz4 finds repetitions.
const VALUES: usize = 8_192;

/// A pool of values of one size: JSON with a random id, numbers and a sentence. lz4 makes
/// batches of them 2 to 2.5 times smaller.
#[derive(Debug)]
pub struct Texts {
    values: Vec<Vec<u8>>,
}

impl Texts {
    /// Values of exactly `bytes`; the same in every run.
    pub fn new(bytes: usize) -> Self {
        let mut random = StdRng::seed_from_u64(20_26);
        let words: Vec<String> = (0..WORDS).map(|_| word(&mut random)).collect();
        let values = (0..VALUES).map(|_| value(&mut random, &words, bytes)).collect();
        Self { values }
    }

    /// The value of record number `index`.
    pub fn value(&self, index: u64) -> &[u8] {
        // A prime step, so that the records of one partition go through the whole pool.
        let at = (index % VALUES as u64) * 5_171 % VALUES as u64;
        &self.values[usize::try_from(at).expect("the pool is small")]
    }
}

fn word(random: &mut StdRng) -> String {
    let length = random.random_range(4..12);
    (0..length).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect()
}

fn value(random: &mut StdRng, words: &[String], bytes: usize) -> Vec<u8> {
    let id: u64 = random.random();
    let (customer, cents): (u32, u32) = (random.random_range(0..1_000_000), random.random_range(100..50_000));
    let mut text = format!(r#"{{"id":"{id:016x}","customer":{customer},"cents":{cents},"note":""#);
    while text.len() < bytes {
        let skewed = random.random::<f64>().powi(3) * WORDS as f64;
        text += &words[skewed as usize];
        text.push(' ');
    }
    text.truncate(bytes.saturating_sub(2));
    text += "\"}";
    text.into_bytes()
}
