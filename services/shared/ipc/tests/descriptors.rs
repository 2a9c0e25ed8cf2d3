//! Passing descriptors, and peers that pass what they should not.

#![expect(clippy::unwrap_used, reason = "a test that cannot prepare itself must stop")]

use std::fs::File;
use std::io::{IoSlice, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use holdfast_contract::limits::MAX_PACKET_BYTES;
use holdfast_contract::role::Service;
use holdfast_ipc::descriptor::{Conversation, ConversationError};
use holdfast_ipc::{DescriptorListener, Limits, Server, Sockets};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

fn file(text: &str) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file
}

#[tokio::test]
async fn a_packet_carries_a_value_and_a_descriptor() {
    let (one, other) = Conversation::pair().unwrap();
    one.send(&"take this", Some(file("secret").as_fd()))
        .await
        .unwrap();
    let (text, descriptor) = other.receive::<String>().await.unwrap().unwrap();
    let mut content = String::new();
    File::from(descriptor.unwrap())
        .read_to_string(&mut content)
        .unwrap();
    assert_eq!((text.as_str(), content.as_str()), ("take this", "secret"));
    drop(one);
    assert!(other.receive::<String>().await.unwrap().is_none());
}

#[tokio::test]
async fn a_packet_over_the_limit_is_refused_on_both_sides() {
    let (one, other) = Conversation::pair().unwrap();
    let large = "x".repeat(MAX_PACKET_BYTES);
    assert!(matches!(
        one.send(&large, None).await,
        Err(ConversationError::TooLarge)
    ));
    let packet = serde_json::to_vec(&"x".repeat(MAX_PACKET_BYTES)).unwrap();
    rustix::net::send(&one, &packet, SendFlags::NOSIGNAL).unwrap();
    assert!(matches!(
        other.receive::<String>().await,
        Err(ConversationError::TooLarge)
    ));
}

#[tokio::test]
async fn two_descriptors_in_a_packet_are_refused_and_closed() {
    let (one, other) = Conversation::pair().unwrap();
    let (first, second) = (file("1"), file("2"));
    let descriptors = [first.as_fd(), second.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(&one, &[IoSlice::new(b"\"x\"")], &mut control, SendFlags::NOSIGNAL).unwrap();
    // Other tests open files meanwhile: only descriptors of these two count.
    let identity = |metadata: &std::fs::Metadata| (metadata.dev(), metadata.ino());
    let sent = [&first, &second].map(|file| identity(&file.metadata().unwrap()));
    let open = || {
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
        descriptors
            .filter_map(|entry| std::fs::metadata(entry.ok()?.path()).ok())
            .filter(|metadata| sent.contains(&identity(metadata)))
            .count()
    };
    assert_eq!(open(), 2);
    assert!(matches!(
        other.receive::<String>().await,
        Err(ConversationError::Descriptors)
    ));
    assert_eq!(open(), 2);
}

#[tokio::test]
async fn what_is_not_json_is_refused() {
    let (one, other) = Conversation::pair().unwrap();
    rustix::net::send(&one, b"\xff{", SendFlags::NOSIGNAL).unwrap();
    assert!(matches!(
        other.receive::<String>().await,
        Err(ConversationError::Json(_))
    ));
}

#[tokio::test]
async fn serves_conversations_with_their_peer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("open.sock");
    let listener = DescriptorListener::bind(&path).unwrap();
    let handler = async |conversation: Conversation, peer: holdfast_ipc::Peer| {
        conversation.send(&peer.pid, None).await.unwrap();
    };
    let server = Server::new(Service::Registry)
        .descriptors(listener, handler, Limits::PLAIN)
        .unwrap();
    tokio::spawn(server.run());
    let conversation = Conversation::connect(&path).unwrap();
    let received = tokio::time::timeout(Duration::from_secs(5), conversation.receive::<u32>())
        .await
        .unwrap();
    assert_eq!(received.unwrap().unwrap().0, std::process::id());
}

#[test]
fn a_process_that_was_passed_no_sockets_is_told_so() {
    let error = Sockets::from_supervisor().unwrap_err().to_string();
    assert!(error.contains("holdfast up"), "{error}");
}
