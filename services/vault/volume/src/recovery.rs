//! Recovery keys: 256 random bits as systemd writes them, so that `systemd-cryptsetup` on any machine takes them too.

use zeroize::Zeroizing;

/// Sixteen letters that lie at the same place on most keyboards (Yubico's "modhex").
const LETTERS: &[u8; 16] = b"cbdefghijklnrtuv";
/// Letters of a whole key.
const LENGTH: usize = 64;
/// Letters between two dashes.
const GROUP: usize = 8;

/// A new key.
///
/// # Errors
///
/// When the kernel gives no random bytes.
pub fn generate() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut bytes = Zeroizing::new([0_u8; LENGTH / 2]);
    getrandom::fill(bytes.as_mut())?;
    Ok(write(&bytes))
}

fn write(bytes: &[u8; LENGTH / 2]) -> Zeroizing<String> {
    // The capacity is fixed first: growing would leave copies of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(LENGTH + LENGTH / GROUP));
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 && (index * 2).is_multiple_of(GROUP) {
            text.push('-');
        }
        for half in [byte >> 4, byte & 15] {
            text.push(char::from(LETTERS[usize::from(half)]));
        }
    }
    text
}

/// The key as it opens the volume, however a person typed it: in capitals, with blanks, without dashes. None when it is not one.
pub fn normalize(typed: &str) -> Option<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(LENGTH + LENGTH / GROUP));
    let mut letters = 0;
    for letter in typed.bytes() {
        if letter == b'-' || letter.is_ascii_whitespace() {
            continue;
        }
        let letter = letter.to_ascii_lowercase();
        if letters == LENGTH || !LETTERS.contains(&letter) {
            return None;
        }
        if letters > 0 && letters.is_multiple_of(GROUP) {
            text.push('-');
        }
        text.push(char::from(letter));
        letters += 1;
    }
    (letters == LENGTH).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_eight_groups_of_eight_letters() {
        let key = generate().unwrap();
        assert_eq!(key.split('-').count(), 8);
        assert!(key.split('-').all(|group| group.len() == 8));
        assert_ne!(*key, *generate().unwrap());
    }

    #[test]
    fn every_bit_is_written() {
        let zeros = write(&[0; 32]);
        assert!(zeros.chars().all(|letter| letter == 'c' || letter == '-'));
        let mut bytes = [0; 32];
        bytes[31] = 0x1f;
        assert!(write(&bytes).ends_with("bv"));
    }

    #[test]
    fn a_key_may_be_typed_in_any_way_that_keeps_its_letters() {
        let key = generate().unwrap();
        let typed = format!(" {} ", key.to_uppercase().replace('-', " "));
        assert_eq!(normalize(&typed).unwrap(), key);
        assert_eq!(normalize(&key.replace('-', "")).unwrap(), key);
    }

    #[test]
    fn what_is_no_key_is_no_key() {
        let key = generate().unwrap();
        assert_eq!(normalize(&key[..70]), None);
        assert_eq!(normalize(&format!("{}c", *key)), None);
        assert_eq!(normalize("correct horse battery staple"), None);
        assert_eq!(normalize(&key.replace('-', "\u{2013}")), None);
        assert_eq!(normalize(""), None);
    }
}
