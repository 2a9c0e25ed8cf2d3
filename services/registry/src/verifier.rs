//! Reads models' files anew in the background, one at a time, and reports a damaged one as an incident.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_contract::Digest;
use holdfast_contract::ledger::IncidentReport;
use holdfast_contract::report::Severity;
use holdfast_ipc::Recorder;
use tokio::sync::{mpsc, watch};

use crate::service::stopped;
use crate::store::{BytesError, Model, Store, StoreError, Trust, Watch};

/// The queue of models to read. No model is in it twice, so that the store bounds it.
#[derive(Debug, Clone)]
pub struct Verifier {
    sender: mpsc::UnboundedSender<Digest>,
    waiting: Arc<Mutex<HashSet<Digest>>>,
}

impl Verifier {
    /// Starts the reader. It ends when `stopping` becomes true.
    pub fn start(store: Arc<Store>, recorder: Recorder, stopping: watch::Receiver<bool>) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::default();
        let reader = Reader {
            store,
            recorder,
            waiting: Arc::clone(&waiting),
            stopping,
        };
        tokio::spawn(reader.run(receiver));
        Self { sender, waiting }
    }

    /// Has a model's file read, once.
    pub fn enqueue(&self, digest: Digest) {
        if self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest)
        {
            // Fails when the daemon stops; the next start finds the model unverified.
            let _ = self.sender.send(digest);
        }
    }
}

struct Reader {
    store: Arc<Store>,
    recorder: Recorder,
    waiting: Arc<Mutex<HashSet<Digest>>>,
    stopping: watch::Receiver<bool>,
}

impl Reader {
    async fn run(mut self, mut queue: mpsc::UnboundedReceiver<Digest>) {
        loop {
            let digest = tokio::select! {
                digest = queue.recv() => digest,
                () = stopped(&mut self.stopping) => None,
            };
            let Some(digest) = digest else { return };
            // Out of the set before it is read: a doubt that comes up meanwhile is worth another reading.
            self.waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&digest);
            if let Some(model) = self
                .store
                .model(digest)
                .filter(|model| model.trust() == Trust::Unverified)
            {
                self.read(model).await;
            }
        }
    }

    async fn read(&mut self, model: Arc<Model>) {
        let watch = Arc::new(Watch::default());
        let work = {
            let (store, model, watch) = (Arc::clone(&self.store), Arc::clone(&model), Arc::clone(&watch));
            move || store.verify(&model, &watch)
        };
        let mut reading = tokio::task::spawn_blocking(work);
        let result = tokio::select! {
            result = &mut reading => result,
            () = stopped(&mut self.stopping) => {
                watch.cancel();
                reading.await
            }
        };
        match result {
            Ok(Ok(Trust::Sealed(_))) => tracing::info!(model = %model.digest(), "model verified anew"),
            Ok(Ok(Trust::Damaged { damage, .. })) => self.report(&model, &damage.to_string()).await,
            Ok(Ok(Trust::Unverified)) => {
                tracing::warn!(model = %model.digest(), "model changed while it was verified");
            }
            Ok(Err(StoreError::Bytes(BytesError::Cancelled))) => {}
            Ok(Err(error)) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    model = %model.digest(),
                    "model not verified"
                );
            }
            Err(error) => tracing::error!(%error, model = %model.digest(), "model not verified"),
        }
    }

    async fn report(&self, model: &Model, damage: &str) {
        tracing::error!(model = %model.digest(), damage, "model damaged");
        let incident = IncidentReport {
            class: "registry.model-damaged".to_owned(),
            severity: Severity::High,
            subject: model.digest().to_string(),
            summary: format!("the admitted model {} cannot be opened: {damage}", model.name()),
        };
        if let Err(problem) = self.recorder.report(&incident).await {
            tracing::error!(%problem, "an incident was not reported");
        }
    }
}
