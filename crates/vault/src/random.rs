//! The one source of random numbers.

use zeroize::{Zeroize, Zeroizing};

/// Fills `buffer` from AWS-LC's generator (CTR_DRBG, NIST SP 800-90A, seeded by the operating system).
///
/// Aborts the process when the generator fails; see the crate's rules.
pub(crate) fn fill(buffer: &mut [u8]) {
    if aws_lc_rs::rand::fill(buffer).is_err() {
        std::process::abort();
    }
}

/// `count` letters, each equally likely from `alphabet` (2 to 256 ASCII letters).
pub(crate) fn letters(alphabet: &[u8], count: usize) -> Zeroizing<String> {
    // Bytes from the incomplete last round of the alphabet are thrown away: a plain remainder would prefer
    // the first letters.
    let fair = 256 - 256 % alphabet.len();
    let mut text = Zeroizing::new(String::with_capacity(count));
    let mut pool = [0_u8; 64];
    while text.len() < count {
        fill(&mut pool);
        for &byte in &pool {
            if usize::from(byte) < fair && text.len() < count {
                text.push(char::from(alphabet[usize::from(byte) % alphabet.len()]));
            }
        }
    }
    pool.zeroize();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_from_the_whole_alphabet_and_no_other() {
        let text = letters(b"abc", 3000);
        assert_eq!(text.len(), 3000);
        assert!(text.bytes().all(|letter| b"abc".contains(&letter)));
        assert!(b"abc".iter().all(|letter| text.bytes().any(|found| found == *letter)));
    }

    #[test]
    fn every_letter_is_equally_likely() {
        // 200 letters: the plain remainder would give each of the first 56 twice the share of the others.
        let alphabet: Vec<u8> = (0..100).chain(0..100).collect();
        let text = letters(&alphabet, 200_000);
        let first = text.bytes().filter(|letter| *letter < 56).count();
        // Expected 112,000 with a standard deviation of 222; the plain remainder gives about 131,000 (168 of
        // 256).
        assert!((109_000..115_000).contains(&first), "{first}");
    }
}
