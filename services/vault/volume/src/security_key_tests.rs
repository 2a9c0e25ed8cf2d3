//! Security keys on a real LUKS2 header in a file. The key itself, and systemd's part, are tried in the virtual machine.

use std::path::Path;

use holdfast_contract::vault::{VolumeAnswer, VolumeRequest};
use libcryptsetup_rs::TokenInput;
use serde_json::json;

use super::*;
use crate::header::tests::{Disk, FIRST, made};
use crate::hid::tests::{KEY, plugged_in};

/// A token as systemd writes it, for a keyslot of its own. Returns its number.
fn enrolled(disk: &Disk, pin: bool, touch: bool) -> u32 {
    let mut header = disk.header();
    let secret = format!("secret of a key {pin} {touch}");
    let slot = header
        .add_temporary(Key::Passphrase(FIRST), secret.as_bytes())
        .unwrap();
    let token = json!({
        "type": "systemd-fido2",
        "keyslots": [slot.to_string()],
        "fido2-credential": "AAAA",
        "fido2-salt": "AAAA",
        "fido2-rp": "io.systemd.cryptsetup",
        "fido2-clientPin-required": pin,
        "fido2-up-required": touch,
        "fido2-uv-required": false,
    });
    let mut handle = header.device.device.token_handle();
    handle.json_set(TokenInput::AddToken(&token)).unwrap()
}

fn volume(disk: &Disk, devices: &Path) -> Volume {
    Volume {
        hid_devices: devices.to_owned(),
        ..disk.volume()
    }
}

fn trouble(result: Result<()>) -> Trouble {
    match result {
        Err(VolumeError::SecurityKey(trouble)) => trouble,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_header_says_which_keys_there_are_and_what_they_ask_for() {
    let disk = made();
    assert!(!disk.header().keys().security_key);
    let first = enrolled(&disk, false, true);
    let keys = disk.header().keys();
    assert!(keys.security_key && !keys.security_key_pin);
    let second = enrolled(&disk, true, true);
    let keys = disk.header().keys();
    assert!(keys.security_key && keys.security_key_pin);
    assert_eq!(
        disk.header().security_keys(),
        [
            SecurityKey {
                token: first,
                pin: false,
                touch: true
            },
            SecurityKey {
                token: second,
                pin: true,
                touch: true
            },
        ]
    );
}

#[test]
fn removing_leaves_nothing_of_any_key_and_everything_else() {
    let disk = made();
    enrolled(&disk, false, true);
    enrolled(&disk, true, true);
    let secret = b"secret of a key false true";
    assert!(
        disk.volume().remove_security_keys().is_err(),
        "nothing else opens it that somebody has"
    );
    assert!(disk.opens(secret));
    disk.header()
        .set_passphrase(Key::Passphrase(FIRST), b"some passphrase")
        .unwrap();
    disk.volume().remove_passphrase().unwrap();
    disk.header()
        .set_passphrase(Key::Passphrase(FIRST), b"another passphrase")
        .unwrap();
    disk.volume().remove_security_keys().unwrap();
    assert!(!disk.opens(secret) && disk.opens(FIRST));
    assert_eq!(disk.header().security_keys(), []);
    assert!(!disk.header().keys().security_key);
}

#[test]
fn level_2_keeps_a_security_key_and_level_3_destroys_it() {
    let disk = made();
    enrolled(&disk, false, true);
    disk.volume().remove_tpm().unwrap();
    assert!(disk.header().keys().security_key);
    disk.volume().erase().unwrap();
    assert!(!disk.header().keys().security_key);
    assert!(!disk.opens(b"secret of a key false true"));
}

#[test]
fn its_keyslot_is_no_stray() {
    let disk = made();
    enrolled(&disk, false, true);
    // Opening removes the first key, which no token names, and fails for want of a TPM.
    let _ = disk.volume().open(None, None, None);
    assert!(!disk.opens(FIRST) && disk.opens(b"secret of a key false true"));
}

#[test]
fn none_enrolled_none_plugged_in_and_no_pin_are_told_apart() {
    let none = plugged_in(&[]);
    let one = plugged_in(&[&KEY]);
    // Opening removes the first key, which no token names: what is to be enrolled is enrolled before.
    let disk = made();
    let result = volume(&disk, one.path()).open_with_security_key(None, None);
    assert_eq!(trouble(result), Trouble::NoneEnrolled);
    drop(disk);
    let disk = made();
    enrolled(&disk, true, true);
    let open = |devices: &Path| trouble(volume(&disk, devices).open_with_security_key(None, None));
    assert_eq!(open(none.path()), Trouble::NonePluggedIn);
    assert_eq!(open(one.path()), Trouble::PinRequired);
    let seal = volume(&disk, one.path()).enrol_tpm_with_security_key(None);
    assert_eq!(trouble(seal.map(|_| ())), Trouble::PinRequired);
}

#[test]
fn enrolling_wants_one_key_and_room() {
    let disk = made();
    let none = plugged_in(&[]);
    let several = plugged_in(&[&KEY, &KEY]);
    let add = |devices: &Path| trouble(volume(&disk, devices).add_security_key(None));
    assert_eq!(add(none.path()), Trouble::NonePluggedIn);
    assert_eq!(add(several.path()), Trouble::SeveralPluggedIn);
    for _ in 0..MAX_SECURITY_KEYS {
        enrolled(&disk, false, true);
    }
    assert_eq!(add(several.path()), Trouble::TooMany);
}

/// Tries keys that fail with these codes, one after the other. Returns what it comes to and how many were tried.
fn tried(keys: &[(bool, i32)], pin: Option<&str>) -> (Result<()>, usize) {
    let disk = made();
    let one = plugged_in(&[&KEY]);
    let volume = volume(&disk, one.path());
    let enrolled: Vec<_> = (0..)
        .zip(keys)
        .map(|(token, (pin, _))| SecurityKey {
            token,
            pin: *pin,
            touch: true,
        })
        .collect();
    let pin = pin.map(|pin| Secret::new(pin.to_owned()));
    let mut attempts = 0;
    let result = volume.with_security_key(&enrolled, pin.as_ref(), |token, given| {
        let (asks, code) = keys[usize::try_from(token).unwrap()];
        assert_eq!(given.is_some(), asks, "a PIN goes to the keys that ask for one");
        attempts += 1;
        match code {
            0 => Ok(()),
            code => Err(LibcryptErr::IOError(std::io::Error::from_raw_os_error(code))),
        }
    });
    (result, attempts)
}

#[test]
fn the_key_that_is_plugged_in_is_found_among_the_enrolled() {
    let (result, attempts) = tried(
        &[(false, libc::EAGAIN), (true, libc::EAGAIN), (false, 0)],
        Some("1234"),
    );
    assert!(result.is_ok());
    assert_eq!(attempts, 3);
    let (result, attempts) = tried(&[(false, libc::EAGAIN), (false, libc::EAGAIN)], None);
    assert_eq!((trouble(result), attempts), (Trouble::OtherKey, 2));
    let (result, attempts) = tried(&[(true, 0), (false, libc::EAGAIN)], None);
    assert_eq!((trouble(result), attempts), (Trouble::PinRequired, 1));
}

#[test]
fn a_wrong_pin_is_tried_once() {
    // The same key, enrolled twice.
    let (result, attempts) = tried(&[(true, libc::ENOANO), (true, libc::ENOANO)], Some("1234"));
    assert_eq!((trouble(result), attempts), (Trouble::WrongPin, 1));
}

#[test]
fn other_reasons_end_it_too() {
    for (code, reason) in [
        (libc::EOWNERDEAD, Trouble::PinBlocked),
        (libc::ENOSTR, Trouble::NotTouched),
    ] {
        let (result, attempts) = tried(&[(true, code), (false, 0)], Some("1234"));
        assert_eq!((trouble(result), attempts), (reason, 1));
    }
    let (result, attempts) = tried(&[(false, libc::EIO), (false, 0)], None);
    assert!(matches!(result, Err(VolumeError::Other(_))));
    assert_eq!(attempts, 1);
}

#[test]
fn a_key_that_asks_for_too_little_is_not_kept() {
    let key = |pin, touch| SecurityKey { token: 0, pin, touch };
    assert_eq!(usable(key(false, true), false), Ok(()));
    assert_eq!(usable(key(true, true), true), Ok(()));
    assert_eq!(usable(key(true, true), false), Ok(()));
    assert_eq!(usable(key(true, false), true), Err(Trouble::NotCapable));
    assert_eq!(usable(key(false, true), true), Err(Trouble::NoPin));
}

#[test]
fn what_systemd_says_has_its_reasons() {
    for (said, meant) in [
        ("No FIDO devices found.", Trouble::NonePluggedIn),
        (
            "PIN may not be empty.\nPIN incorrect, please try again.",
            Trouble::PinRequired,
        ),
        ("More than one FIDO device found.", Trouble::SeveralPluggedIn),
        (
            "FIDO device discovered does not implement FIDO2 with 'hmac-secret' extension.",
            Trouble::NotCapable,
        ),
        (
            "Initializing FIDO2 credential on security token.\nPIN incorrect, please try again.",
            Trouble::WrongPin,
        ),
        (
            "Token PIN is currently blocked, please remove and reinsert token.",
            Trouble::PinBlocked,
        ),
        (
            "Failed to generate FIDO2 credential: FIDO_ERR_PIN_BLOCKED",
            Trouble::PinBlocked,
        ),
        (
            "Token action timeout. (User didn't interact with token quickly enough.)",
            Trouble::NotTouched,
        ),
        (
            "Failed to acquire user PIN: Read-only file system",
            Trouble::PinRequired,
        ),
        (
            "Requested to lock with PIN, but FIDO2 device /dev/hidraw0 does not support it, disabling.",
            Trouble::NoPin,
        ),
    ] {
        assert_eq!(trouble(Err(reason(said).unwrap())), meant, "{said}");
    }
    assert!(matches!(
        reason("Unlocking via TPM2 device failed: Operation not permitted"),
        Some(VolumeError::TpmRefused(_))
    ));
    assert!(reason("Failed to open /dev/vda7").is_none());
}

#[test]
fn a_request_with_a_pin_is_not_printed() {
    let request: VolumeRequest =
        serde_json::from_str(r#"{"do":"add-security-key","pin":"2741828"}"#).unwrap();
    assert!(!format!("{request:?}").contains("2741828"));
    let answer = VolumeAnswer::SecurityKey {
        trouble: Trouble::WrongPin,
    };
    assert_eq!(
        serde_json::to_string(&answer).unwrap(),
        r#"{"security-key":{"trouble":"wrong-pin"}}"#
    );
}
