//! How GPT-2 vocabularies write bytes: printable Latin-1 bytes as themselves, the others from U+0100 on.

/// Whether a byte is written as the character of the same number.
const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

/// The character that stands for `byte`.
pub fn character(byte: u8) -> char {
    if is_plain(byte) {
        return char::from(byte);
    }
    let before = (0..byte).filter(|&other| !is_plain(other)).count();
    u32::try_from(before)
        .ok()
        .and_then(|n| char::from_u32(0x100 + n))
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Each byte as its character.
pub fn written(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| character(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_character_of_its_own() {
        let all: std::collections::HashSet<char> = (0..=u8::MAX).map(character).collect();
        assert_eq!(all.len(), 256);
        assert!(!all.contains(&char::REPLACEMENT_CHARACTER));
    }

    #[test]
    fn known_characters() {
        assert_eq!(written(b" a\n"), "\u{120}a\u{10a}");
        assert_eq!(character(0xad), '\u{143}');
    }
}
