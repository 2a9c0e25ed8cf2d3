//! Digests, problems, profiles, services and what they say about themselves.

use holdfast_contract::Problem;
use holdfast_contract::problem::ProblemKind;
use holdfast_contract::profile::Profile;
use holdfast_contract::role::Service;
use holdfast_contract::status::{Confinement, Mode, Posture, ServiceStatus};

use super::{Sample, any, moment, strict};

pub fn digest() -> Vec<Sample> {
    vec![any(&[super::digest(0), super::digest(0xab)])]
}

pub fn problem() -> Vec<Sample> {
    use ProblemKind::{
        Busy, Conflict, Deadline, Denied, Internal, Invalid, NoSpace, NotFound, Refused, TooLarge,
        Unauthenticated, Unavailable,
    };
    let kinds = [
        Invalid,
        Unauthenticated,
        Denied,
        NotFound,
        Conflict,
        TooLarge,
        Refused,
        Busy,
        Internal,
        Unavailable,
        Deadline,
        NoSpace,
    ];
    let mut problems: Vec<Problem> = kinds.map(|kind| Problem::new(kind, "what happened")).to_vec();
    problems.push(Problem::new(Busy, "the queue is full").next("Try again in a minute."));
    vec![any(&kinds), any(&problems)]
}

pub fn profile() -> Vec<Sample> {
    vec![any(&Profile::ALL)]
}

pub fn role() -> Vec<Sample> {
    vec![any(&Service::ALL)]
}

pub fn confinement() -> Confinement {
    Confinement {
        landlock_abi: 7,
        syscalls: 93,
        grants: vec!["read /var/lib/holdfast/registry".to_owned()],
        missing: vec!["fs-verity".to_owned()],
    }
}

pub fn status() -> Vec<Sample> {
    vec![
        strict(&[confinement()]),
        strict(&[ServiceStatus {
            service: Service::Registry,
            version: "0.1.0".to_owned(),
            pid: 4711,
            started_at: moment(),
            confinement: confinement(),
            summary: "1 model".to_owned(),
        }]),
        any(&[Mode::Appliance, Mode::Evaluation]),
        strict(&[Posture {
            mode: Mode::Evaluation,
            weaknesses: vec!["no TPM".to_owned()],
        }]),
    ]
}
