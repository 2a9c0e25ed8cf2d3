use holdfast_contract::Digest;
use holdfast_contract::inference::Speaker;

use super::*;
use crate::conversation::{Settings, State, Turn};

fn conversation(title: &str) -> Conversation {
    let id = ConversationId::random().unwrap();
    let mut made = Conversation::new(
        id,
        Digest::from_bytes([7; 32]),
        Settings::default(),
        title,
        Timestamp::now(),
    );
    made.turns.push(Turn {
        role: Speaker::Assistant,
        text: "half an ans".into(),
        at: Timestamp::now(),
        state: State::Generating,
        model: None,
        problem: None,
        cost: None,
    });
    made
}

fn open(directory: &tempfile::TempDir) -> (History, Found) {
    History::open(directory.path().join("conversations"), 3).unwrap()
}

#[tokio::test]
async fn what_a_crash_cut_off_is_found_as_interrupted_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let kept = conversation("one");
    let (history, _) = open(&directory);
    let answering = history.begin(&kept).await.unwrap();
    // As kill -9 would: nothing is released, nothing is written.
    std::mem::forget((answering, history));

    let (history, found) = open(&directory);
    assert_eq!(
        found,
        Found {
            conversations: 1,
            interrupted: 1,
            damaged: 0
        }
    );
    let loaded = history.load(&kept.id).await.unwrap();
    assert_eq!(
        (loaded.turns[0].state, loaded.turns[0].text.as_str()),
        (State::Interrupted, "half an ans")
    );
    let (_, found) = open(&directory);
    assert_eq!(found.interrupted, 0);
}

#[tokio::test]
async fn only_one_answer_is_written_at_a_time_and_nothing_else_changes_the_conversation() {
    let directory = tempfile::tempdir().unwrap();
    let (history, _) = open(&directory);
    let kept = conversation("one");
    let answering = history.begin(&kept).await.unwrap();
    let nothing = |_: &mut Conversation| Ok::<_, HistoryError>(());
    assert!(matches!(
        history.resume(&kept.id, nothing).await,
        Err(HistoryError::Answering)
    ));
    assert!(matches!(
        history.rename(&kept.id, "x".into()).await,
        Err(HistoryError::Answering)
    ));
    assert!(matches!(
        history.delete(&kept.id).await,
        Err(HistoryError::Answering)
    ));
    assert!(matches!(history.delete_all().await, Err(HistoryError::Answering)));
    drop(answering);
    history.rename(&kept.id, "another".into()).await.unwrap();
    assert_eq!(history.list()[0].title, "another");
    assert!(history.resume(&kept.id, nothing).await.is_ok());
}

#[tokio::test]
async fn stop_reaches_the_answer_that_is_being_written() {
    let directory = tempfile::tempdir().unwrap();
    let (history, _) = open(&directory);
    let kept = conversation("one");
    assert!(!history.stop(&kept.id));
    let mut answering = history.begin(&kept).await.unwrap();
    assert!(history.stop(&kept.id));
    answering.stopped().await;
    let waiting = history.stop_and_wait(&kept.id);
    tokio::join!(waiting, async { drop(answering) });
    assert!(!history.is_answering(&kept.id));
}

#[tokio::test]
async fn deleting_removes_the_file_and_the_line() {
    let directory = tempfile::tempdir().unwrap();
    let (history, _) = open(&directory);
    let (one, two) = (conversation("one"), conversation("two"));
    drop(history.begin(&one).await.unwrap());
    drop(history.begin(&two).await.unwrap());
    history.delete(&one.id).await.unwrap();
    assert!(matches!(history.load(&one.id).await, Err(HistoryError::Absent)));
    assert!(matches!(history.delete(&one.id).await, Err(HistoryError::Absent)));
    assert_eq!(history.list().len(), 1);
    assert_eq!(history.delete_all().await.unwrap(), 1);
    assert_eq!(
        std::fs::read_dir(directory.path().join("conversations"))
            .unwrap()
            .count(),
        0
    );
}

#[tokio::test]
async fn the_number_and_the_size_of_conversations_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let (history, _) = open(&directory);
    for _ in 0..3 {
        drop(history.begin(&conversation("a")).await.unwrap());
    }
    assert!(matches!(
        history.begin(&conversation("a")).await,
        Err(HistoryError::TooMany(3))
    ));

    let id = history.list()[0].id.clone();
    let grow = |conversation: &mut Conversation| {
        conversation.turns[0].text = "x".repeat(MAX_CONVERSATION_BYTES);
        Ok::<_, HistoryError>(())
    };
    assert!(matches!(
        history.resume(&id, grow).await,
        Err(HistoryError::TooLarge)
    ));
    assert_eq!(history.load(&id).await.unwrap().turns[0].text, "half an ans");
}

#[tokio::test]
async fn a_damaged_file_is_counted_left_alone_and_goes_when_everything_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let (history, _) = open(&directory);
    drop(history.begin(&conversation("a")).await.unwrap());
    let damaged = directory
        .path()
        .join("conversations")
        .join(format!("{}.json", "ab".repeat(16)));
    std::fs::write(&damaged, b"{\"version\":1").unwrap();
    let (history, found) = open(&directory);
    assert_eq!((found.conversations, found.damaged), (1, 1));
    assert!(damaged.exists());
    assert_eq!(history.delete_all().await.unwrap(), 2);
    assert!(!damaged.exists());
}
