//! Files that are longer or shorter than announced, listed or bearable. No more of them is read than
//! a device has room for.

use crate::device::{Accepted, Device, Verdict, failed, refused};
use crate::repository::Repository;
use crate::rude_server::{Answer, RudeServer, Script, ok};

/// The files of a run in their order, each with the most that a device takes of it.
const CAPS: [(&str, &str, usize); 4] = [
    ("root", "metadata/2.root.json", 7 * 1024),
    ("timestamp", "metadata/timestamp.json", 4 * 1024),
    ("snapshot", "metadata/1.snapshot.json", 8 * 1024),
    ("targets", "metadata/1.targets.json", 64 * 1024),
];

/// What a new device says where `path` is answered in this way.
async fn told(repository: &Repository, path: &str, answer: Answer) -> Verdict {
    let mut script = Script { files: repository.files.clone(), ..Script::default() };
    script.answers.insert(path.into(), answer);
    let server = RudeServer::start(script).await;
    Device::of(repository).refresh(&server.door).await
}

/// A repository with a second root whose lists hold hashes and lengths, or not.
fn repository(lists_hashes: bool) -> Repository {
    let mut repository = Repository::new();
    repository.lists_hashes = lists_hashes;
    repository.next_root();
    repository.publish();
    repository
}

#[tokio::test]
async fn an_endless_file_is_left_at_its_cap() {
    for (role, path, _) in CAPS {
        let repository = repository(false);
        let expected = refused(format!("too-large-{role}"));
        let endless = Answer::Endless(ok(None, b"{"));
        assert_eq!(told(&repository, path, endless).await, expected);
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffff\r\n";
        let endless = Answer::Endless(chunked.to_vec());
        assert_eq!(told(&repository, path, endless).await, expected);
    }
}

#[tokio::test]
async fn an_endless_file_with_a_listed_length_is_left_at_that_length() {
    for (role, path, _) in &CAPS[2..] {
        let repository = repository(true);
        let endless = Answer::Endless(ok(None, &repository.files[*path]));
        let expected = refused(format!("length-mismatch-{role}"));
        assert_eq!(told(&repository, path, endless).await, expected);
    }
}

/// The announcement is enough: the body never comes.
#[tokio::test]
async fn a_file_that_is_announced_too_large_is_not_even_begun() {
    for (role, path, cap) in CAPS {
        let repository = repository(false);
        for length in [cap + 1, 10 << 20, 0xffff_ffff] {
            let silent = Answer::Silent(ok(Some(length), b""));
            let expected = refused(format!("too-large-{role}"));
            assert_eq!(told(&repository, path, silent).await, expected, "{length}");
        }
    }
}

#[tokio::test]
async fn an_announced_length_beyond_all_flash_is_no_answer() {
    for (_, path, _) in CAPS {
        let repository = repository(false);
        let silent = Answer::Silent(ok(Some(1 << 32), b""));
        assert_eq!(told(&repository, path, silent).await, failed("unreachable"));
    }
}

#[tokio::test]
async fn a_file_of_exactly_its_cap_is_taken_and_one_byte_more_is_not() {
    for (role, path, cap) in CAPS {
        let repository = repository(false);
        let mut file = repository.files[path].clone();
        file.resize(cap, b' ');
        for is_announced in [true, false] {
            let answer = |file: &[u8]| Answer::Bytes(ok(is_announced.then_some(file.len()), file));
            assert_eq!(told(&repository, path, answer(&file)).await, Accepted, "{role}");
            let longer = [&file[..], b"\n"].concat();
            let expected = refused(format!("too-large-{role}"));
            assert_eq!(told(&repository, path, answer(&longer)).await, expected);
        }
    }
}

#[tokio::test]
async fn a_file_of_another_length_than_listed_is_refused() {
    for (role, path, _) in &CAPS[2..] {
        let repository = repository(true);
        let file = &repository.files[*path];
        let longer = [&file[..], b" "].concat();
        let shorter = &file[..file.len() - 1];
        let nothing = &b""[..];
        for other in [&longer[..], shorter, nothing] {
            for is_announced in [true, false] {
                let answer = Answer::Bytes(ok(is_announced.then_some(other.len()), other));
                let expected = refused(format!("length-mismatch-{role}"));
                assert_eq!(told(&repository, path, answer).await, expected, "{}", other.len());
            }
        }
    }
}

#[tokio::test]
async fn a_listed_length_above_the_cap_does_not_raise_it() {
    for (role, lister) in [("snapshot", "timestamp"), ("targets", "snapshot")] {
        for length in [(64 << 10) + 1, u64::from(u32::MAX) + 1, u64::MAX] {
            let mut repository = Repository::new();
            let entry = &mut repository[lister]["meta"][format!("{role}.json")];
            entry["length"] = serde_json::json!(length);
            if lister == "snapshot" {
                repository.publish_snapshot();
            } else {
                repository.put_signed("timestamp");
            }
            let script = Script { files: repository.files.clone(), ..Script::default() };
            let server = RudeServer::start(script).await;
            let verdict = Device::of(&repository).refresh(&server.door).await;
            assert_eq!(verdict, refused(format!("too-large-{role}")), "{length}");
            let path = format!("metadata/1.{role}.json");
            assert!(!server.asked().contains(&path), "it is not even asked for");
        }
    }
}

#[tokio::test]
async fn a_body_shorter_than_its_announcement_is_the_network_s_fault() {
    for (_, path, _) in CAPS {
        let repository = repository(false);
        let file = &repository.files[path];
        for kept in [0, 1, file.len() - 1] {
            let bytes = ok(Some(file.len()), &file[..kept]);
            for answer in [Answer::Bytes(bytes.clone()), Answer::Torn(bytes)] {
                assert_eq!(told(&repository, path, answer).await, failed("truncated"), "{kept}");
            }
        }
    }
}

/// Without an announced length only a proper end of TLS tells a whole file from a torn one.
#[tokio::test]
async fn a_torn_body_of_unknown_length_is_the_network_s_fault() {
    for (_, path, _) in CAPS {
        let repository = repository(false);
        let answer = Answer::Torn(ok(None, &repository.files[path]));
        assert_eq!(told(&repository, path, answer).await, failed("truncated"));
    }
}

/// HTTP ends a body at its announced length, so what follows is never seen.
#[tokio::test]
async fn bytes_after_the_announced_length_are_not_read() {
    for (role, path, _) in CAPS {
        let repository = repository(true);
        let file = &repository.files[path];
        let answer = Answer::Bytes(ok(Some(file.len()), &[file, &b"more"[..]].concat()));
        assert_eq!(told(&repository, path, answer).await, Accepted, "{role}");
    }
}

#[tokio::test]
async fn an_empty_file_is_malformed() {
    for (role, path, _) in CAPS {
        let repository = repository(false);
        let answer = Answer::Bytes(ok(Some(0), b""));
        let expected = refused(format!("malformed-{role}"));
        assert_eq!(told(&repository, path, answer).await, expected);
    }
}
