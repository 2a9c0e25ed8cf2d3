//! What the suite takes while nobody uses it.

use std::time::Duration;

use holdfast_contract::role::Service;
use holdfast_tests::suite::Suite;
use holdfast_tests::tools::say;

/// The most memory that all daemons together may have resident, in bytes.
const MEMORY: u64 = 100 << 20;
/// The largest part of one processor core that all daemons together may use.
const PROCESSOR: f64 = 0.005;
/// For how long the processor is watched.
const WATCHED: Duration = Duration::from_secs(5);

#[test]
fn at_rest_all_daemons_together_are_small_and_quiet() {
    let suite = Suite::start();
    assert!(suite.engines().is_empty(), "no model is loaded");
    let daemons: Vec<_> = Service::ALL
        .iter()
        .map(|service| (service.name(), suite.process(*service)))
        .collect();
    let used = || -> Duration { daemons.iter().map(|(_, process)| process.processor_time()).sum() };
    let before = used();
    // Not to wait for something, but to have something to measure.
    std::thread::sleep(WATCHED);
    let part = used().saturating_sub(before).as_secs_f64() / WATCHED.as_secs_f64();

    let each: Vec<String> = daemons
        .iter()
        .map(|(name, process)| format!("{name} {:.1}", mebibytes(process.resident_bytes())))
        .collect();
    let resident: u64 = daemons.iter().map(|(_, process)| process.resident_bytes()).sum();
    let proportional: Option<u64> = daemons
        .iter()
        .map(|(_, process)| process.proportional_bytes())
        .sum();
    let proportional = proportional.map_or("unknown".to_owned(), |bytes| {
        format!("{:.1} MiB", mebibytes(bytes))
    });
    say(&format!(
        "[measured] at rest: {:.1} MiB resident ({}), {proportional} with shared pages counted once; {:.3} % of a core; \
         the supervisor takes another {:.1} MiB",
        mebibytes(resident),
        each.join(", "),
        part * 100.0,
        mebibytes(suite.up().resident_bytes()),
    ));
    assert!(resident <= MEMORY, "{resident}");
    assert!(part <= PROCESSOR, "{part}");
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
