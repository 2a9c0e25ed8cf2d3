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
mod faults;
mod inside;
mod machine;
mod tampering;

use machine::Machine;

#[test]
fn the_appliance_boots_serves_and_resists() {
    let machine = Machine::new("appliance");
    let first = boot::first(&machine);
    let mut running = first;
    inside::every_service_proves_its_confinement(&mut running);
    inside::root_of_a_service_reaches_nothing(&mut running);
    inside::root_of_the_system_does_not_enter_the_kernel(&machine, &mut running);
    inside::the_running_system_cannot_open_the_state_volume_again(&mut running);
    running.shut_down();

    let mut running = boot::again(&machine);
    faults::daemons_are_killed(&mut running);
    faults::the_disk_is_full(&mut running);
    faults::the_clock_is_far_off(&mut running);
    running.shut_down();
    faults::the_disk_is_removed_under_load(&machine);

    tampering::a_credential_on_the_boot_partition(&machine);
    tampering::a_kernel_image_signed_by_somebody_else(&machine);
    tampering::a_flipped_byte_of_the_root(&machine);
    tampering::another_tpm(&machine);
}
