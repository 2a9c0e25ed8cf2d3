//! The appliance, booted in a virtual machine with Secure Boot and a TPM, and attacked. `make vm-test` builds the image and runs this.
//!
//! One machine is made and goes from test to test, because its first boot takes minutes where processors are emulated; what
//! destroys something does it to a copy. Each step says how long it took.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "everything here is a test or serves one"
)]

mod boot;
mod inside;
mod machine;
mod tampering;
mod vault;

use machine::Machine;

#[test]
fn the_appliance_boots_serves_and_resists() {
    let machine = Machine::new("appliance");
    let first = boot::first(&machine);
    let mut running = first;
    inside::every_service_proves_its_confinement(&mut running);
    inside::root_of_a_service_reaches_nothing(&mut running);
    inside::the_running_system_cannot_open_the_state_volume_again(&mut running);
    vault::is_made_sealed_and_mounted(&mut running);
    vault::locks_and_unlocks_without_losing_state(&mut running);
    let key = vault::has_a_recovery_key_and_a_passphrase(&mut running);
    vault::is_closed_to_others(&mut running);
    vault::panic_level_1(&mut running);
    running.shut_down();

    boot::again(&machine).shut_down();
    vault::panic_level_2(&machine, &key);
    vault::panic_level_3(&machine, &key);

    tampering::a_credential_on_the_boot_partition(&machine);
    tampering::a_kernel_image_signed_by_somebody_else(&machine);
    tampering::a_flipped_byte_of_the_root(&machine);
    tampering::another_tpm(&machine);
}
