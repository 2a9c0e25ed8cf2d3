//! The sections of the vault's page: the state, what opens it, and panic.

use holdfast_contract::vault::{
    CREATE_PHRASE, Countdown, Firmware, MAX_PIN_BYTES, MAX_SECRET_BYTES, MIN_PASSPHRASE_CHARS, PanicLevel,
    VaultState, VaultStatus,
};
use maud::{Markup, html};

use crate::pages::{badge, form_token, note};
use crate::session::Session;
use crate::words::{self, Tone};

/// In place of the sections in evaluation mode, where there is nothing to open or shut.
pub fn directory() -> Markup {
    html! {
        div.line { h2 { "State" } (badge(("Not encrypted", Tone::Warn))) }
        p { "This is evaluation mode: the vault is a directory. Nothing in it is encrypted, so nothing can be locked or destroyed." }
        p { "On the appliance the vault is an encrypted volume that only this machine's TPM, a recovery key, a passphrase or a security key opens." }
    }
}

fn word(state: VaultState) -> (&'static str, Tone) {
    match state {
        VaultState::Preparing => ("Being prepared", Tone::Warn),
        VaultState::Shut => ("Shut", Tone::Bad),
        VaultState::Open => ("Open", Tone::Good),
        VaultState::Locked => ("Locked", Tone::Warn),
        VaultState::Erased => ("Erased", Tone::Bad),
        VaultState::Foreign => ("Not this appliance's", Tone::Bad),
    }
}

fn explanation(state: VaultState) -> &'static str {
    match state {
        VaultState::Preparing => "It is being made. This takes a minute or two, once.",
        VaultState::Shut => {
            "It has not been opened since the machine started: models and conversations are in it, encrypted."
        }
        VaultState::Open => {
            "Models and conversations are in it. Its key is in the kernel's memory and nowhere else outside the TPM."
        }
        VaultState::Locked => {
            "Its key is out of the kernel. Whatever works with files in it waits, and goes on when it is unlocked."
        }
        VaultState::Erased => "Its keys were destroyed. Nobody can read what was in it.",
        VaultState::Foreign => "What is on the disk is not what this appliance put there.",
    }
}

/// How the vault is, and what changes that: lock, unlock, make a new one.
pub fn state(status: &VaultStatus, session: &Session) -> Markup {
    html! {
        section aria-labelledby="state-title" {
            div.line { h2 #state-title { "State" } (badge(word(status.state))) }
            p { (explanation(status.state)) }
            @if let Some(problem) = &status.problem { (note(Tone::Bad, &words::sentence(problem))) }
            p.hint {
                "Since " (words::time(status.since)) " · "
                @match status.lock_after_minutes {
                    Some(minutes) => { "locks itself after " (minutes) " minutes without use" },
                    None => "never locks itself",
                }
            }
            @match status.state {
                VaultState::Open => {
                    form.actions method="post" action="/vault/lock" {
                        (form_token(session))
                        button type="submit" { "Lock" }
                    }
                },
                VaultState::Locked | VaultState::Shut => {
                    form.actions method="post" action="/vault/unlock" {
                        (form_token(session))
                        input type="hidden" name="secret" value="";
                        button.main type="submit" { "Unlock with the TPM" }
                    }
                    form.inline method="post" action="/vault/unlock" {
                        (form_token(session))
                        (secret_field("unlock-secret", "Or with the recovery key or the passphrase"))
                        button type="submit" { "Unlock" }
                    }
                    @if status.keys.security_key {
                        form.inline method="post" action="/vault/security-key/unlock" {
                            (form_token(session))
                            (pin_field("unlock-pin", "PIN of the security key", status.keys.security_key_pin))
                            button type="submit" { "Unlock with the security key" }
                        }
                        p.hint { "Then touch the key when it blinks. It has to be plugged in since the machine started." }
                    }
                },
                VaultState::Preparing if status.problem.is_none() => {},
                VaultState::Preparing | VaultState::Erased | VaultState::Foreign => {
                    form.inline method="post" action="/vault/create" {
                        (form_token(session))
                        (phrase_field("create-phrase", CREATE_PHRASE))
                        button.danger type="submit" { "Make a new vault" }
                    }
                },
            }
        }
    }
}

/// What opens the vault, and what adds to that and takes from it.
pub fn keys(status: &VaultStatus, session: &Session) -> Markup {
    let row = |has: bool| {
        if has {
            ("Yes", Tone::Good)
        } else {
            ("No", Tone::Plain)
        }
    };
    html! {
        section aria-labelledby="keys-title" {
            h2 #keys-title { "What opens it" }
            dl.facts {
                dt { "This machine's TPM" } dd { (badge(row(status.keys.tpm))) }
                dt { "A recovery key" } dd { (badge(row(status.keys.recovery_key))) }
                dt { "A passphrase" } dd { (badge(row(status.keys.passphrase))) }
                dt { "A security key" } dd { (badge(row(status.keys.security_key))) }
            }
            @if !status.keys.recovery_key {
                (note(Tone::Warn, "Without a recovery key everything is lost when the TPM stops agreeing: after some firmware updates, or with the mainboard."))
            }
            h3 { "Recovery key" }
            p { "It is shown once, and counts when it was typed in again. A recovery key from before stops working then." }
            form.actions method="post" action="/vault/recovery-key" {
                (form_token(session))
                button.main[!status.keys.recovery_key] type="submit" {
                    @if status.keys.recovery_key { "Make another recovery key" } @else { "Make a recovery key" }
                }
            }
            h3 { "Passphrase" }
            form.inline method="post" action="/vault/passphrase" {
                (form_token(session))
                div.field {
                    label for="passphrase" { "New passphrase, " (MIN_PASSPHRASE_CHARS) " characters or more" }
                    input #passphrase type="password" name="secret" required minlength=(MIN_PASSPHRASE_CHARS) maxlength=(MAX_SECRET_BYTES) autocomplete="new-password";
                }
                button type="submit" { "Set" }
            }
            @if status.keys.passphrase {
                form.actions method="post" action="/vault/passphrase/remove" {
                    (form_token(session))
                    button type="submit" { "Remove the passphrase" }
                }
            }
            (security_key(status, session))
            h3 { "TPM" }
            @if let Some(firmware) = status.firmware { (pinned(firmware)) }
            p.hint { "Seal the vault anew after a change of the firmware or its settings that you made yourself." }
            form.inline method="post" action="/vault/seal" {
                (form_token(session))
                (secret_field("seal-secret", "Recovery key or passphrase"))
                button type="submit" { "Seal to the TPM" }
            }
            @if status.keys.security_key {
                form.inline method="post" action="/vault/security-key/seal" {
                    (form_token(session))
                    (pin_field("seal-pin", "PIN of the security key", status.keys.security_key_pin))
                    button type="submit" { "Seal to the TPM with the security key" }
                }
            }
        }
    }
}

fn security_key(status: &VaultStatus, session: &Session) -> Markup {
    html! {
        h3 { "Security key" }
        p { "A FIDO2 key with hmac-secret, plugged in when the machine starts. After pressing the button touch the key each time it blinks, twice in all." }
        form.inline method="post" action="/vault/security-key" {
            (form_token(session))
            (pin_field("security-key-pin", "Its PIN, if it is to ask for it each time", true))
            button type="submit" {
                @if status.keys.security_key { "Enrol another security key" } @else { "Enrol the security key" }
            }
        }
        @if status.keys.security_key {
            form.actions method="post" action="/vault/security-key/remove" {
                (form_token(session))
                button type="submit" { "Remove every security key" }
            }
        }
    }
}

/// A field for a PIN, which may stay empty; where no key asks for one, there is none to fill in.
fn pin_field(id: &str, label: &str, shown: bool) -> Markup {
    html! {
        @if shown {
            div.field {
                label for=(id) { (label) }
                input id=(id) type="password" name="pin" maxlength=(MAX_PIN_BYTES) autocomplete="off";
            }
        } @else {
            input type="hidden" name="pin" value="";
        }
    }
}

/// Whether the TPM's key depends on the firmware, and if not, why.
fn pinned(firmware: Firmware) -> Markup {
    html! {
        @if firmware.is_pinned() {
            p { "Firmware pinned: the TPM gives its key only where the firmware is the one that the vault was sealed under." }
        } @else {
            (note(Tone::Plain, &words::sentence(&firmware.to_string())))
        }
    }
}

fn secret_field(id: &str, label: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { (label) }
            input id=(id) type="password" name="secret" required maxlength=(MAX_SECRET_BYTES) autocomplete="off";
        }
    }
}

fn phrase_field(id: &str, phrase: &str) -> Markup {
    html! {
        div.field {
            label for=(id) { "Type “" (phrase) "”" }
            input id=(id) type="text" name="phrase" required maxlength="100" autocomplete="off" autocapitalize="off" spellcheck="false";
        }
    }
}

/// The three levels of panic, or the countdown of the one that was begun.
pub fn panic(status: &VaultStatus, session: &Session) -> Markup {
    html! {
        section #panic aria-labelledby="panic-title" {
            h2 #panic-title { "Panic" }
            @match &status.panic {
                Some(countdown) => (counting(*countdown, session)),
                None => {
                    p { "Each level is counted down and can be called off until then. It is recorded first, and looked at afterwards." }
                    (level(PanicLevel::Lock, "Lock", "The key leaves the kernel at once. The TPM gives it back when you unlock.", session))
                    (level(PanicLevel::RemoveTpm, "Lock and remove the TPM’s key", "Only the recovery key, the passphrase or a security key opens the vault afterwards.", session))
                    (level(PanicLevel::Erase, "Destroy every key", "Nobody can read the vault again, you included. The machine turns itself off.", session))
                },
            }
        }
    }
}

fn level(level: PanicLevel, name: &str, does: &str, session: &Session) -> Markup {
    let id = format!("panic-{}", level.number());
    html! {
        h3 { (level.number()) ". " (name) }
        p.hint { (does) }
        form.inline method="post" action="/vault/panic" {
            (form_token(session))
            input type="hidden" name="level" value=(level);
            @match level.phrase() {
                Some(phrase) => (phrase_field(&id, phrase)),
                None => { input type="hidden" name="phrase" value=""; },
            }
            button.danger type="submit" { (name) }
        }
    }
}

fn counting(countdown: Countdown, session: &Session) -> Markup {
    html! {
        div.note.bad role="alert" {
            @if countdown.seconds == 0 {
                p { strong { "Level " (countdown.level.number()) " is being carried out." } }
            } @else {
                p { strong { "Level " (countdown.level.number()) " in " (countdown.seconds) " s" } }
                form.actions method="post" action="/vault/panic/call-off" {
                    (form_token(session))
                    button.main type="submit" autofocus { "Call it off" }
                }
            }
        }
    }
}
