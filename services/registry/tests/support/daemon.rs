//! The registry's daemon in its place.

use holdfast_contract::role;
use holdfast_ipc::Client;

use super::key;
use super::spawn::Program;

pub use super::spawn::Place;

impl Place {
    pub fn new() -> Self {
        Self::of(Program {
            executable: env!("CARGO_BIN_EXE_holdfast-registry").into(),
            arguments: vec![],
            roles: vec![
                role::REGISTRY_READ,
                role::REGISTRY_ADMIN,
                role::REGISTRY_OPEN,
                role::REGISTRY_ADMIT,
            ],
            credentials: vec![("statement.pub", format!("{}\n", key().vkey()).into_bytes())],
        })
    }

    pub fn read(&self) -> Client {
        Client::new(role::REGISTRY_READ.path(&self.run()))
    }

    pub fn admin(&self) -> Client {
        Client::new(role::REGISTRY_ADMIN.path(&self.run()))
    }
}
