//! An orderly end. Alone in its process, because it sends itself SIGTERM.

use std::os::unix::net::UnixListener;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use holdfast_contract::role::Service;
use holdfast_ipc::{Answer, Client, Json, Limits, Server};
use tokio::sync::Notify;

#[tokio::test]
async fn a_request_that_is_being_answered_is_answered_before_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("role.sock");
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (arrived, go_on) = (Arc::clone(&arrived), Arc::clone(&go_on));
        async move || -> Answer<u32> {
            arrived.notify_one();
            go_on.notified().await;
            Ok(Json(7))
        }
    };
    let router = Router::new().route("/v1/slow", get(handler));
    let server = Server::new(Service::Registry)
        .http(UnixListener::bind(&path).unwrap(), router, Limits::PLAIN)
        .unwrap();
    let mut stopping = server.stopping();
    let serving = tokio::spawn(server.run());
    let client = Client::new(&path);
    let request = tokio::spawn(async move { client.get::<u32>("/v1/slow").await });
    arrived.notified().await;

    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
    stopping.wait_for(|stop| *stop).await.unwrap();
    assert!(!serving.is_finished());
    go_on.notify_one();
    assert_eq!(request.await.unwrap().unwrap(), 7);
    serving.await.unwrap().unwrap();
    assert!(Client::new(&path).get::<u32>("/v1/slow").await.is_err());
}
