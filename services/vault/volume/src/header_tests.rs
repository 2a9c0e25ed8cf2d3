//! A real LUKS2 header, in a file: keyslots and tokens need no device. What a TPM or the kernel does is tested in the virtual machine.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_contract::vault::{Keys, Secret, VolumeRequest, VolumeState};

use super::*;
use crate::volume::{Volume, VolumeError};

/// Enough for a header with all its keyslots.
const SIZE: u64 = 32 << 20;
pub const FIRST: &[u8] = b"the first key";

/// libcryptsetup is for one thread at a time.
static TURN: Mutex<()> = Mutex::new(());

pub struct Disk {
    _directory: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
    pub path: PathBuf,
}

pub fn blank() -> Disk {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk");
    File::create(&path).unwrap().set_len(SIZE).unwrap();
    Disk {
        _directory: directory,
        _turn: turn,
        path,
    }
}

pub fn made() -> Disk {
    let disk = blank();
    Header::format(&disk.path, FIRST)
        .unwrap()
        .set_state("ready")
        .unwrap();
    disk
}

impl Disk {
    pub fn header(&self) -> Header {
        Header::open(&self.path).unwrap().unwrap()
    }

    pub fn volume(&self) -> Volume {
        Volume {
            device: self.path.clone(),
            name: "holdfast-test-that-is-not-mapped".to_owned(),
            public_key: "/nonexistent".into(),
            signature: "/nonexistent".into(),
            hid_devices: "/nonexistent".into(),
            tpm: "/nonexistent".into(),
            firmware: crate::firmware::Source {
                socket: "/nonexistent".into(),
                policy: "/nonexistent".into(),
                registers: "/nonexistent".into(),
            },
            asker: crate::asker::Asker::default(),
        }
    }

    pub fn opens(&self, secret: &[u8]) -> bool {
        self.header().slot_of(secret).is_ok()
    }
}

#[test]
fn a_blank_disk_has_no_header() {
    let disk = blank();
    assert!(Header::open(&disk.path).unwrap().is_none());
    assert_eq!(disk.volume().look().unwrap().state, VolumeState::None);
}

#[test]
fn a_header_is_unfinished_until_it_is_ready() {
    let disk = blank();
    Header::format(&disk.path, FIRST).unwrap();
    assert_eq!(disk.header().state(), VolumeState::Unfinished);
    disk.header().set_state("ready").unwrap();
    assert_eq!(disk.header().state(), VolumeState::Ready);
    assert_eq!(disk.header().keys(), Keys::default(), "the first key is nobody's");
    assert!(disk.opens(FIRST));
    assert!(!disk.opens(b"another key"));
}

#[test]
fn a_volume_that_somebody_else_made_is_foreign() {
    let disk = made();
    let mut header = disk.header();
    let tokens = header.tokens();
    header
        .device
        .device
        .token_handle()
        .json_set(TokenInput::RemoveToken(tokens[0].number))
        .unwrap();
    assert_eq!(disk.header().state(), VolumeState::Foreign);
    assert!(matches!(
        disk.volume().open(None, None, None),
        Err(VolumeError::Other(_))
    ));
}

#[test]
fn a_recovery_key_counts_once_it_was_confirmed() {
    let disk = made();
    let first = crate::recovery::generate().unwrap();
    let mut header = disk.header();
    header
        .add_recovery(Key::Passphrase(FIRST), first.as_bytes())
        .unwrap();
    assert!(
        !disk.header().keys().recovery_key,
        "nobody has proved that they have it"
    );

    let volume = disk.volume();
    let wrong = Secret::new((*crate::recovery::generate().unwrap()).clone());
    assert!(matches!(
        volume.confirm_recovery_key(&wrong),
        Err(VolumeError::WrongSecret)
    ));
    let no_key = Secret::new("the first key".to_owned());
    assert!(matches!(
        volume.confirm_recovery_key(&no_key),
        Err(VolumeError::WrongSecret)
    ));

    let typed = Secret::new(first.to_uppercase().replace('-', " "));
    volume.confirm_recovery_key(&typed).unwrap();
    assert!(disk.header().keys().recovery_key);
    assert!(disk.opens(first.as_bytes()));
}

#[test]
fn a_key_that_opens_the_volume_but_is_no_recovery_key_confirms_nothing() {
    let disk = made();
    let key = crate::recovery::generate().unwrap();
    let mut header = disk.header();
    header
        .device
        .add_keyslot(Key::Passphrase(FIRST), key.as_bytes())
        .unwrap();
    let typed = Secret::new((*key).clone());
    assert!(matches!(
        disk.volume().confirm_recovery_key(&typed),
        Err(VolumeError::WrongSecret)
    ));
}

#[test]
fn a_new_recovery_key_takes_the_place_of_the_old_one_when_it_is_confirmed_and_not_before() {
    let disk = made();
    let keys = [(); 3].map(|()| crate::recovery::generate().unwrap());
    let confirm = |key: &str| {
        disk.volume()
            .confirm_recovery_key(&Secret::new(key.to_owned()))
            .unwrap();
    };
    disk.header()
        .add_recovery(Key::Passphrase(FIRST), keys[0].as_bytes())
        .unwrap();
    confirm(&keys[0]);
    disk.header()
        .add_recovery(Key::Passphrase(FIRST), keys[1].as_bytes())
        .unwrap();
    assert!(
        disk.opens(keys[0].as_bytes()),
        "the old one opens until the new one is confirmed"
    );
    disk.header()
        .add_recovery(Key::Passphrase(FIRST), keys[2].as_bytes())
        .unwrap();
    assert!(
        !disk.opens(keys[1].as_bytes()),
        "one that was never confirmed is replaced"
    );
    confirm(&keys[2]);
    assert!(!disk.opens(keys[0].as_bytes()));
    assert!(disk.opens(keys[2].as_bytes()));
    assert!(disk.opens(FIRST), "other keys stay");
}

#[test]
fn a_passphrase_is_replaced_and_removed() {
    let disk = made();
    disk.header()
        .set_passphrase(Key::Passphrase(FIRST), b"first passphrase")
        .unwrap();
    assert!(disk.header().keys().passphrase);
    disk.header()
        .set_passphrase(Key::Passphrase(FIRST), b"second passphrase")
        .unwrap();
    assert!(!disk.opens(b"first passphrase"));
    assert!(disk.opens(b"second passphrase"));

    assert!(
        disk.volume().remove_passphrase().is_err(),
        "it is the only key that somebody has"
    );
    assert!(disk.opens(b"second passphrase"));
    let key = crate::recovery::generate().unwrap();
    disk.header()
        .add_recovery(Key::Passphrase(FIRST), key.as_bytes())
        .unwrap();
    assert!(
        disk.volume().remove_passphrase().is_err(),
        "nobody proved that they have the recovery key"
    );
    let typed = Secret::new((*key).clone());
    disk.volume().confirm_recovery_key(&typed).unwrap();
    disk.volume().remove_passphrase().unwrap();
    assert!(!disk.opens(b"second passphrase"));
    assert!(!disk.header().keys().passphrase);
}

#[test]
fn the_tpms_key_stays_where_it_is_the_only_one() {
    let disk = made();
    assert!(disk.volume().remove_tpm().is_err());
    disk.header()
        .set_passphrase(Key::Passphrase(FIRST), b"some passphrase")
        .unwrap();
    disk.volume().remove_tpm().unwrap();
}

#[test]
fn of_two_passphrases_an_interrupted_change_leaves_the_newer_one() {
    let disk = made();
    disk.header()
        .set_passphrase(Key::Passphrase(FIRST), b"older passphrase")
        .unwrap();
    // What `set_passphrase` does before it removes the one from before.
    let mut header = disk.header();
    let slot = header
        .device
        .add_keyslot(Key::Passphrase(FIRST), b"newer passphrase")
        .unwrap();
    header
        .add_token(&json!({ "type": PASSPHRASE, "keyslots": [slot.to_string()], (GENERATION): 2 }))
        .unwrap();
    assert!(disk.opens(b"older passphrase"));
    disk.header().remove_strays().unwrap();
    assert!(!disk.opens(b"older passphrase"));
    assert!(disk.opens(b"newer passphrase"));
}

#[test]
fn a_volume_keeps_its_identity_and_no_other_has_it() {
    let (identity, again) = {
        let disk = made();
        let identity = disk.volume().look().unwrap().identity;
        disk.header()
            .set_passphrase(Key::Passphrase(FIRST), b"some passphrase")
            .unwrap();
        (identity, disk.volume().look().unwrap().identity)
    };
    assert!(identity.is_some());
    assert_eq!(identity, again, "keys come and go");
    let other = made();
    assert_ne!(other.volume().look().unwrap().identity, identity);
    let refused = other.volume().open(None, None, identity);
    assert!(
        matches!(&refused, Err(VolumeError::Other(why)) if why.to_string().contains("another volume")),
        "{refused:?}"
    );
}

#[test]
fn an_erasure_that_was_interrupted_goes_on() {
    let disk = made();
    disk.header().set_state("erased").unwrap();
    assert!(disk.opens(FIRST), "a keyslot is left");
    assert!(disk.volume().open(None, None, None).is_err());
    disk.volume().erase().unwrap();
    assert!(!disk.opens(FIRST));
}

#[test]
fn a_passphrase_costs_memory_to_guess() {
    let disk = made();
    let mut header = disk.header();
    header
        .set_passphrase(Key::Passphrase(FIRST), b"some passphrase")
        .unwrap();
    let slot = header.slot_of(b"some passphrase").unwrap();
    let how = header.device.device.keyslot_handle().get_pbkdf(slot).unwrap();
    assert!(matches!(how.type_, CryptKdf::Argon2Id));
    assert!(how.max_memory_kb >= 64 << 10 && how.iterations >= 3);
}

#[test]
fn a_keyslot_that_no_token_names_is_removed() {
    let disk = made();
    disk.header()
        .set_passphrase(Key::Passphrase(FIRST), b"some passphrase")
        .unwrap();
    assert_eq!(
        disk.header().remove_strays().unwrap(),
        1,
        "the first key has no token"
    );
    assert!(!disk.opens(FIRST));
    assert!(disk.opens(b"some passphrase"));
}

#[test]
fn after_an_erasure_nothing_opens_and_the_keyslots_bytes_are_others() {
    let disk = made();
    disk.header()
        .set_passphrase(Key::Passphrase(FIRST), b"some passphrase")
        .unwrap();
    let before = std::fs::read(&disk.path).unwrap();
    let areas: Vec<(u64, u64)> = {
        let mut header = disk.header();
        header
            .slots()
            .into_iter()
            .map(|slot| header.area(slot).unwrap())
            .collect()
    };
    assert_eq!(areas.len(), 2);
    disk.volume().erase().unwrap();
    assert_eq!(disk.volume().look().unwrap().state, VolumeState::Erased);
    assert!(!disk.opens(FIRST) && !disk.opens(b"some passphrase"));
    let after = std::fs::read(&disk.path).unwrap();
    for (offset, length) in areas {
        let range = usize::try_from(offset).unwrap()..usize::try_from(offset + length).unwrap();
        let same = before[range.clone()]
            .iter()
            .zip(&after[range.clone()])
            .filter(|(before, after)| before == after)
            .count();
        assert!(
            same < range.len() / 64,
            "{same} of {} bytes are as they were",
            range.len()
        );
    }
    assert!(matches!(
        disk.volume().open(None, None, None),
        Err(VolumeError::Other(_))
    ));
}

#[test]
fn what_was_erased_can_be_asked_again_and_stays_erased() {
    let disk = made();
    disk.volume().erase().unwrap();
    disk.volume().erase().unwrap();
    assert_eq!(disk.header().state(), VolumeState::Erased);
}

#[test]
fn a_broken_header_is_an_error_and_not_a_blank_disk() {
    use std::os::unix::fs::FileExt as _;
    let disk = made();
    // Both copies of the metadata, their magic numbers left: the checksums do not hold.
    let file = File::options().write(true).open(&disk.path).unwrap();
    for copy in [0_u64, 16 << 10] {
        file.write_all_at(&[0xff; 64], copy + 4096 + 100).unwrap();
    }
    let found = Header::open(&disk.path);
    assert!(!matches!(found, Ok(Some(_))));
}

#[test]
fn requests_have_no_field_that_is_not_known() {
    let smuggled = r#"{"do":"create","replace":false,"device":"/dev/sda"}"#;
    assert!(serde_json::from_str::<VolumeRequest>(smuggled).is_err());
}

#[test]
fn without_its_counter_the_tpm_is_not_even_asked() {
    let disk = made();
    let refused = disk.volume().open(None, Some(1), None);
    assert!(
        matches!(&refused, Err(VolumeError::TpmRefused(why)) if why.contains("its counter cannot be read")),
        "{refused:?}"
    );
    // A key that a person has does not depend on the TPM.
    let wrong = disk
        .volume()
        .open(Some(&Secret::new("wrong".to_owned())), Some(1), None);
    assert!(!matches!(wrong, Err(VolumeError::TpmRefused(_))), "{wrong:?}");
}

#[test]
fn the_firmware_is_pinned_as_systemds_tokens_have_it_and_the_note_says_why_not() {
    let disk = made();
    assert_eq!(disk.header().firmware(), None, "not sealed to a TPM");
    let slot = disk.header().slot_of(FIRST).unwrap().to_string();
    let sealed = |pcrlock: bool| {
        json!({
            "type": TPM, "keyslots": [&slot], "tpm2-blob": "", "tpm2-pcrs": [7], "tpm2-policy-hash": "",
            (PCRLOCK): pcrlock
        })
    };
    disk.header().add_token(&sealed(true)).unwrap();
    assert_eq!(disk.header().firmware(), Some(Firmware::Pinned));
    let covered = Firmware::NotCovered { register: 1 };
    disk.header().set_firmware(covered).unwrap();
    assert_eq!(
        disk.header().firmware(),
        Some(Firmware::Pinned),
        "the token counts"
    );

    // One key that does not depend on the firmware is enough to open it.
    disk.header().add_token(&sealed(false)).unwrap();
    assert_eq!(disk.header().firmware(), Some(covered));
    disk.header().set_firmware(Firmware::NoEventLog).unwrap();
    assert_eq!(
        disk.header().firmware(),
        Some(Firmware::NoEventLog),
        "one note, the last"
    );
    disk.header().set_firmware(Firmware::Pinned).unwrap();
    assert_eq!(
        disk.header().firmware(),
        Some(Firmware::NotAsked),
        "a note alone makes nothing pinned"
    );
    assert_eq!(
        disk.header().state(),
        VolumeState::Ready,
        "the other note is as it was"
    );
}
