//! Whether the TPM measured this boot. A volume sealed to registers that nobody wrote to would open for everybody.

use std::path::Path;

/// The registers that must have been written: Secure Boot's state, the kernel image.
const WRITTEN: [&str; 2] = ["7", "11"];

/// Where the kernel shows the registers.
pub const REGISTERS: &str = "/sys/class/tpm/tpm0/pcr-sha256";

/// Why the volume must not be sealed to this TPM; none if it may be.
pub fn objection(registers: &Path) -> Option<String> {
    if !registers.is_dir() {
        return Some("there is no TPM 2.0 with a SHA-256 bank".to_owned());
    }
    WRITTEN.iter().find_map(|register| {
        let value = std::fs::read_to_string(registers.join(register)).unwrap_or_default();
        let value = value.trim();
        let blank = value.is_empty()
            || value.bytes().all(|digit| digit == b'0')
            || value.bytes().all(|digit| digit.eq_ignore_ascii_case(&b'f'));
        blank.then(|| {
            format!("PCR {register} is blank: the firmware or the boot stub measured nothing into the TPM")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(seven: &str, eleven: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("7"), seven).unwrap();
        std::fs::write(directory.path().join("11"), eleven).unwrap();
        objection(directory.path())
    }

    #[test]
    fn registers_that_were_written_are_good() {
        assert_eq!(with(&"5A".repeat(32), &"03".repeat(32)), None);
    }

    #[test]
    fn blank_registers_and_no_registers_are_objected_to() {
        assert!(
            with(&"00".repeat(32), &"03".repeat(32))
                .unwrap()
                .contains("PCR 7")
        );
        assert!(
            with(&"5A".repeat(32), &"FF".repeat(32))
                .unwrap()
                .contains("PCR 11")
        );
        assert!(with("", "03").unwrap().contains("PCR 7"));
        assert!(objection(Path::new("/nowhere")).unwrap().contains("no TPM"));
    }
}
