//! 7z archives: what lies where and the checksums of the headers become those of what is there, and that of a content that is there alone.

use holdfast_formats::testing::sevenzip::seven_zip as written;

use super::change;
use crate::Random;

/// The first header.
const START: usize = 32;

/// Changes the header, now and then the streams, and writes the archive anew; what is no archive is changed in its bytes.
pub fn seven_zip(bytes: &mut Vec<u8>, random: &mut Random) {
    let Some((streams, header)) = parts(bytes) else {
        change(bytes);
        return;
    };
    let (mut streams, mut header) = (streams.to_vec(), header.to_vec());
    match (packed(&header), random.below(5)) {
        (_, 0) => change(&mut streams),
        (Some(at), 1..=3) if at <= streams.len() => {
            let mut inner = streams.split_off(at);
            change(&mut inner);
            let length = u8::try_from(inner.len()).unwrap_or(0);
            // Headers in the seeds are short: sizes of one byte, which are the same packed and not.
            for place in [sized(&header, 0x09), sized(&header, 0x0c)].into_iter().flatten() {
                header[place] = length & 0x7f;
            }
            sum(&mut header, &inner);
            streams.extend(inner);
        }
        _ => change(&mut header),
    }
    // The only sum of a packed header is its own.
    if packed(&header).is_none() && !random.once_in(4) {
        sum(&mut header, &streams);
    }
    *bytes = written(&streams, &header);
    if random.once_in(16) {
        change(bytes);
    }
}

fn parts(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let offset = bytes
        .get(12..20)?
        .first_chunk()
        .copied()
        .map(u64::from_le_bytes)?;
    let rest = bytes
        .get(START..)
        .filter(|_| bytes.starts_with(b"7z\xbc\xaf\x27\x1c"))?;
    rest.split_at_checked(usize::try_from(offset).ok()?)
}

/// Where in the streams a packed header begins that is there as it is.
fn packed(header: &[u8]) -> Option<usize> {
    match header {
        [0x17, 0x06, at @ 0..0x80, rest @ ..] if rest.windows(3).any(|coder| coder == [1, 1, 0]) => {
            Some((*at).into())
        }
        [0x17, 0x06, high @ 0x80..0xc0, low, rest @ ..]
            if rest.windows(3).any(|coder| coder == [1, 1, 0]) =>
        {
            Some(usize::from(high & 0x3f) << 8 | usize::from(*low))
        }
        _ => None,
    }
}

/// Where the size is that follows the only mark of this kind.
fn sized(header: &[u8], mark: u8) -> Option<usize> {
    header
        .iter()
        .position(|byte| *byte == mark)
        .map(|at| at + 1)
        .filter(|at| *at < header.len())
}

/// Makes the first checksum right that is the only one of its kind.
fn sum(header: &mut [u8], content: &[u8]) {
    let at = header.windows(2).position(|pair| pair == [0x0a, 1]);
    if let Some(place) = at.and_then(|at| header.get_mut(at + 2..at + 6)) {
        place.copy_from_slice(&crc32fast::hash(content).to_le_bytes());
    }
}
