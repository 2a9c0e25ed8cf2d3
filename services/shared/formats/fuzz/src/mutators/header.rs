//! Formats that begin with the length of a text header.

use crate::Random;

/// A safetensors file: the length before the header becomes that of the JSON object that follows it.
pub fn safetensors(bytes: &mut Vec<u8>, random: &mut Random) {
    let Some(body) = bytes.get(8..) else { return };
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut length = body.len();
    for (at, byte) in body.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted && depth <= 1 => {
                length = at + 1;
                break;
            }
            b'}' if !quoted => depth -= 1,
            _ => {}
        }
    }
    length += body
        .get(length..)
        .unwrap_or_default()
        .iter()
        .take_while(|byte| **byte == b' ')
        .count();
    bytes[..8].copy_from_slice(&(length as u64).to_le_bytes());
    // Data of the length that the header ends with, so that the last tensor fits now and then.
    let end = bytes.get(8..8 + length).and_then(last_number);
    if let Some(end) = end.filter(|end| *end < 4096 && !random.once_in(4)) {
        bytes.resize(8 + length + end, 0);
    }
}

/// The last number in a text.
fn last_number(text: &[u8]) -> Option<usize> {
    let end = text.iter().rposition(u8::is_ascii_digit)? + 1;
    let begin = text[..end]
        .iter()
        .rposition(|byte| !byte.is_ascii_digit())
        .map_or(0, |at| at + 1);
    std::str::from_utf8(&text[begin..end]).ok()?.parse().ok()
}

/// A NumPy array: the length of the header becomes that of the line.
pub fn npy(bytes: &mut Vec<u8>, _: &mut Random) {
    let start = if bytes.get(6) == Some(&1) { 10 } else { 12 };
    let Some(length) = bytes
        .get(start..)
        .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
    else {
        return;
    };
    let length = (length + 1) as u32;
    bytes[8..start].copy_from_slice(&length.to_le_bytes()[..start - 8]);
}
