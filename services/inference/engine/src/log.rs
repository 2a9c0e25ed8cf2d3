//! Logs of the worker: llama.cpp's and its own, on standard error, where the daemon reads a bounded amount of them.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt as lines};

/// The most recent error that was logged: llama.cpp says why it refuses a model in its log only.
#[derive(Debug, Clone, Default)]
pub struct LastError(Arc<Mutex<Option<String>>>);

impl LastError {
    /// Takes it.
    pub fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, message: String) {
        // llama.cpp's first error names the cause; what follows says that the caller failed too.
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(message);
    }
}

/// Starts logging, with llama.cpp's log in it.
pub fn init() -> LastError {
    let errors = LastError::default();
    let started = tracing_subscriber::registry()
        .with(LevelFilter::WARN)
        .with(
            lines::layer()
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .without_time()
                .with_target(false),
        )
        .with(Keep(errors.clone()))
        .try_init();
    if started.is_ok() {
        llama_cpp_2::send_logs_to_tracing(llama_cpp_2::LogOptions::default());
    }
    errors
}

struct Keep(LastError);

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            let mut text = Text(String::new());
            event.record(&mut text);
            self.0.keep(text.0.trim().to_owned());
        }
    }
}

/// Collects an event's message.
struct Text(String);

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        if matches!(field.name(), "message" | "text") {
            self.0.push_str(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if matches!(field.name(), "message" | "text") {
            let _ = write!(self.0, "{value:?}");
        }
    }
}
