//! Structured logs for every Holdfast process: to journald where systemd connects it, else one line per event on
//! standard error. Log levels: `error` = an asked-for thing did not happen, `warn` = degraded but safe, `info` = a state
//! change an operator wants to see, the rest is `debug`. Nothing here redacts: secrets are never given to it.

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts logging for the process `name`. A second call does nothing.
///
/// `HOLDFAST_LOG` may name a lower or higher level (`error`, `warn`, `info`, `debug`, `trace`); anything else
/// means `info`.
pub fn init(name: &'static str) {
    let level = std::env::var("HOLDFAST_LOG")
        .ok()
        .and_then(|text| text.parse::<LevelFilter>().ok())
        .unwrap_or(LevelFilter::INFO);
    let registry = tracing_subscriber::registry().with(level);
    let connected_to_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let started = match tracing_journald::layer() {
        Ok(layer) if connected_to_journal => registry
            .with(layer.with_syslog_identifier(format!("holdfast-{name}")))
            .try_init(),
        // Without a journal the supervisor collects standard error, and adds the time and the service's name.
        _ => registry
            .with(
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_ansi(false)
                    .without_time()
                    .with_target(false),
            )
            .try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}
