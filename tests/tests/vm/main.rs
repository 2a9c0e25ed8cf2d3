//! The appliance, booted in a virtual machine with Secure Boot and a TPM, and attacked. `make vm-test` builds the image and runs this.
//!
//! One machine is made, because its first boot takes minutes where processors are emulated; each test works on a copy. What was
//! measured, denied and refused is printed. `HOLDFAST_VM_REUSE=1` takes the machine of an earlier run, to work on one test.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "everything here is a test or serves one"
)]

mod boot;
mod container;
mod faults;
mod firmware;
mod inside;
mod machine;
mod security_key;
mod slots;
mod substitution;
mod tampering;
mod vault;

use std::sync::LazyLock;

use machine::Machine;

/// The machine after its first boot, off.
static APPLIANCE: LazyLock<Machine> = LazyLock::new(|| {
    let reused = std::env::var_os("HOLDFAST_VM_REUSE").and_then(|_| Machine::existing("appliance"));
    reused.unwrap_or_else(|| {
        let machine = Machine::new("appliance");
        boot::first(&machine).shut_down();
        machine
    })
});

#[test]
fn a_running_appliance_serves_and_resists() {
    let machine = APPLIANCE.copy("running");
    let mut running = boot::again(&machine);
    inside::every_service_proves_its_confinement(&mut running);
    inside::root_of_a_service_reaches_nothing(&mut running);
    inside::root_of_the_system_does_not_enter_the_kernel(&machine, &mut running);
    inside::the_running_system_cannot_open_the_state_volume_again(&mut running);
    faults::daemons_are_killed(&mut running);
    faults::the_disk_is_full(&mut running);
    faults::the_clock_is_far_off(&mut running);
    running.shut_down();
}

#[test]
fn the_vault_is_sealed_to_the_firmware() {
    let mut machine = APPLIANCE.copy("firmware");
    let mut running = boot::again(&machine);
    firmware::is_pinned(&mut running);
    let key = firmware::refuses_another_firmware_and_says_what_to_do(&mut running);
    firmware::falls_back_where_nothing_can_be_said_in_advance(&mut running, &key);
    let mut running = firmware::is_pinned_again_by_one_command(&machine, running, &key);
    firmware::a_lock_ends_a_seal(&mut running, &key);
    running.shut_down();
    firmware::another_firmware_is_refused_until_it_is_meant(&mut machine, &key);
}

#[test]
fn a_security_key_opens_what_is_locked_and_what_is_shut() {
    let machine = APPLIANCE.copy("security-key");
    let mut running = boot::again(&machine);
    security_key::is_enrolled_and_opens(&mut running);
    security_key::is_touched_too_late(&mut running);
    security_key::asks_for_its_pin(&mut running);
    security_key::opens_after_panic_level_2(&machine, running);
}

#[test]
fn the_vault_locks_unlocks_and_is_destroyed() {
    let machine = APPLIANCE.copy("vault");
    let mut running = boot::again(&machine);
    vault::is_made_sealed_and_mounted(&mut running);
    vault::locks_and_unlocks_without_losing_state(&mut running);
    let key = vault::has_a_recovery_key_and_a_passphrase(&mut running);
    vault::is_closed_to_others(&mut running);
    vault::panic_level_1(&mut running);
    vault::the_page_comes_back_while_locked(&mut running);
    vault::is_turned_off_while_locked(&machine, running);
    vault::panic_level_2(&machine, &key);
    vault::panic_level_3(&machine, &key);
}
