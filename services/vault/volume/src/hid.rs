//! Which of the machine's HID devices are FIDO security keys, by their report descriptors. Nothing is opened or asked for it.

use std::path::Path;

/// Usage page of FIDO authenticators (CTAP 2.1, section 11.2.8.1).
const FIDO: u32 = 0xf1d0;
/// The longest report descriptor the kernel knows.
const MAX_DESCRIPTOR_BYTES: usize = 4096;

/// How many security keys are plugged in, by the kernel's directory of raw HID devices.
pub fn security_keys(devices: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(devices) else {
        // The kernel's part for HID is loaded with the first device.
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| {
            std::fs::read(entry.path().join("device/report_descriptor"))
                .is_ok_and(|descriptor| is_fido(&descriptor))
        })
        .count()
}

/// Whether a report descriptor names FIDO's usage page: items of one byte that says what and how long, then that many bytes.
fn is_fido(descriptor: &[u8]) -> bool {
    /// Item that holds the usage page, whatever its length.
    const USAGE_PAGE: u8 = 0x04;
    /// Item whose length is in the byte after it.
    const LONG: u8 = 0xfe;
    let mut rest = &descriptor[..descriptor.len().min(MAX_DESCRIPTOR_BYTES)];
    while let Some((prefix, after)) = rest.split_first() {
        let length = match (*prefix, prefix & 3) {
            (LONG, _) => 2 + usize::from(after.first().copied().unwrap_or(0)),
            (_, 3) => 4,
            (_, length) => usize::from(length),
        };
        let Some((data, after)) = after.split_at_checked(length) else {
            return false;
        };
        if prefix & 0xfc == USAGE_PAGE
            && data
                .iter()
                .rev()
                .fold(0_u32, |value, byte| value << 8 | u32::from(*byte))
                == FIDO
        {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// As security keys have it: FIDO's page, one collection, a report of 64 bytes each way.
    pub const KEY: [u8; 34] = [
        0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01, 0x09, 0x20, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95,
        0x40, 0x81, 0x02, 0x09, 0x21, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91, 0x02, 0xc0,
    ];
    /// The beginning of a keyboard's.
    const KEYBOARD: [u8; 10] = [0x05, 0x01, 0x09, 0x06, 0xa1, 0x01, 0x05, 0x07, 0x19, 0xe0];

    /// A directory like the kernel's, with these devices.
    #[allow(clippy::unwrap_used, reason = "it serves tests")]
    pub fn plugged_in(descriptors: &[&[u8]]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (number, descriptor) in descriptors.iter().enumerate() {
            let device = directory.path().join(format!("hidraw{number}/device"));
            std::fs::create_dir_all(&device).unwrap();
            std::fs::write(device.join("report_descriptor"), descriptor).unwrap();
        }
        directory
    }

    #[test]
    fn security_keys_are_counted_and_keyboards_are_not() {
        let of = |descriptors: &[&[u8]]| security_keys(plugged_in(descriptors).path());
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[&KEYBOARD]), 0);
        assert_eq!(of(&[&KEYBOARD, &KEY]), 1);
        assert_eq!(of(&[&KEY, &KEYBOARD, &KEY]), 2);
        assert_eq!(security_keys(Path::new("/nowhere")), 0);
    }

    #[test]
    fn the_page_counts_only_where_it_is_one() {
        // The same bytes as the data of another item, a long item, or cut off.
        assert!(!is_fido(&[0x26, 0x06, 0xd0, 0xc0]));
        assert!(!is_fido(&[0x27, 0x06, 0xd0, 0xf1, 0x00]));
        assert!(!is_fido(&[0xfe, 0x03, 0x10, 0x06, 0xd0, 0xf1]));
        assert!(!is_fido(&[0x06, 0xd0]));
        assert!(!is_fido(&[]));
        assert!(is_fido(&[0x07, 0xd0, 0xf1, 0x00, 0x00]));
        assert!(is_fido(&[0xfe, 0x00, 0x10, 0x06, 0xd0, 0xf1]));
    }
}
