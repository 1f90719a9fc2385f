//! One connection for many requests, and when there has to be another.

use super::*;

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";

fn page(length: usize) -> String {
    format!("HTTP/1.1 404 Not Found\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length))
}

/// Asks twice, reading the first answer as `read` does, and gives the second body.
fn twice(
    server: &Server,
    read: impl FnOnce(&mut Client<Server>),
) -> Result<String, TransportError> {
    let mut client = server.client();
    get(&mut client, "a").unwrap();
    read(&mut client);
    get(&mut client, "b")?;
    whole(&mut client)
}

/// How many requests each connection heard: of an answer, and of a good one behind it.
#[track_caller]
fn counts_after(first: Said) -> Vec<usize> {
    let text = String::from_utf8_lossy(&first.0).into_owned();
    let server = Server::new([vec![first, said(GOOD)], vec![said(GOOD)]]);
    assert_eq!(twice(&server, |client| drop(whole(client))), Ok("good".into()), "{text}");
    server.counts()
}

#[test]
fn a_whole_poll_needs_one_connection() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n";
    let server = Server::new([vec![said(GOOD), said(&page(200)), said(chunked), said(GOOD)]]);
    let mut client = server.client();
    for (path, status) in [("a", 200), ("b", 404), ("c", 200), ("d", 200)] {
        assert_eq!(get(&mut client, path).unwrap().status, status);
        if status == 200 {
            assert_eq!(whole(&mut client), Ok("good".into()));
        }
    }
    assert_eq!(server.counts(), [4]);
}

#[test]
fn a_connection_is_kept_where_the_server_does_not_say_otherwise() {
    for (head, counts) in [
        ("HTTP/1.1 200 OK\r\n", &[2][..]),
        ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n", &[2]),
        ("HTTP/1.1 200 OK\r\nConnection: closed\r\n", &[2]),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n", &[1, 1]),
        ("HTTP/1.1 200 OK\r\nConnection: Upgrade ,CLOSE\r\n", &[1, 1]),
        ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nconnection: close\r\n", &[1, 1]),
        ("HTTP/1.0 200 OK\r\n", &[1, 1]),
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", &[1, 1]),
    ] {
        let text = format!("{head}Content-Length: 2\r\n\r\nhi");
        assert_eq!(counts_after(said(&text)), counts, "{head}");
    }
    assert_eq!(counts_after(then_ends("HTTP/1.1 200 OK\r\n\r\nhi")), [1, 1]);
}

#[test]
fn what_is_left_of_a_small_body_is_drained_and_a_large_one_is_not_waited_for() {
    let chunks = |size: usize| {
        let size = format!("{size:x}\r\n{}\r\n", "x".repeat(size));
        format!("HTTP/1.1 404 N\r\nTransfer-Encoding: chunked\r\n\r\n{size}0\r\n\r\n")
    };
    for (first, counts) in [
        (page(0), &[2][..]),
        (page(4096), &[2]),
        (page(4097), &[1, 1]),
        (page(100_000), &[1, 1]),
        (chunks(4096), &[2]),
        (chunks(4097), &[1, 1]),
        (chunks(1).replace("0\r\n\r\n", "1\r\nx\r\n") + &"1\r\nx\r\n".repeat(5000), &[1, 1]),
        ("HTTP/1.1 404 N\r\n\r\nbye".into(), &[1, 1]),
    ] {
        let server = Server::new([vec![said(&first), said(GOOD)], vec![said(GOOD)]]);
        assert_eq!(twice(&server, |_| ()), Ok("good".into()));
        assert_eq!(server.counts(), counts, "{first:.80}");
        let server = Server::new([vec![said(&first), said(GOOD)], vec![said(GOOD)]]);
        let part = |client: &mut Client<Server>| {
            block_on(client.read(&mut [0; 1])).unwrap();
        };
        assert_eq!(twice(&server, part), Ok("good".into()), "{first:.80}");
    }
}

#[test]
fn a_body_that_breaks_while_it_is_drained_costs_a_connection_and_nothing_else() {
    let short = "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nx";
    for after in [After::End, After::Failure, After::Silence] {
        let server = Server::new([vec![(short.into(), after)], vec![said(GOOD)]]);
        assert_eq!(twice(&server, |_| ()), Ok("good".into()), "{after:?}");
        assert_eq!(server.counts(), [1, 1]);
    }
}

#[test]
fn a_connection_that_died_in_the_meantime_is_replaced_once() {
    for after in [After::End, After::Failure] {
        let server = Server::new([vec![said(GOOD), (vec![], after)], vec![said(GOOD)]]);
        assert_eq!(twice(&server, |client| drop(whole(client))), Ok("good".into()), "{after:?}");
        assert_eq!(server.counts(), [2, 1]);
        // The new one is not old, and so has no excuse.
        let server =
            Server::new([vec![said(GOOD), (vec![], after)], vec![(vec![], after)], vec![]]);
        let second = twice(&server, |client| drop(whole(client)));
        assert_eq!(second, Err(TransportError::Unreachable), "{after:?}");
        assert_eq!(server.counts(), [2, 1]);
    }
    assert_eq!(counts_after(said(GOOD)), [2]);
}

#[test]
fn a_server_that_closes_an_idle_connection_with_a_word_is_asked_again() {
    let idle = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = Server::new([vec![said(GOOD), said(idle)], vec![said(GOOD)]]);
    assert_eq!(twice(&server, |client| drop(whole(client))), Ok("good".into()));
    assert_eq!(server.counts(), [2, 1]);
    let mut client = Server::once(said(idle)).client();
    assert_eq!(get(&mut client, "a").unwrap().status, 408, "on a new connection it is the answer");
}

#[test]
fn an_answer_that_had_begun_is_not_asked_for_again() {
    for (second, error) in [
        (then_ends("HTTP/1.1 200"), TransportError::Truncated),
        (said("HTTP/1.1 200"), TransportError::TooSlow),
        (said(""), TransportError::TooSlow),
        (said("garbage"), TransportError::Unreachable),
    ] {
        let server = Server::new([vec![said(GOOD), second], vec![said(GOOD)]]);
        assert_eq!(twice(&server, |client| drop(whole(client))), Err(error));
        assert_eq!(server.counts(), [2]);
    }
}

#[test]
fn a_refused_answer_leaves_no_connection_behind() {
    for first in [
        said("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        said("HTTP/1.1 206 P\r\nContent-Length: 4\r\n\r\ngood"),
        said("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\ngood"),
    ] {
        let server = Server::new([vec![first, said(GOOD)], vec![said(GOOD)]]);
        let mut client = server.client();
        assert_eq!(get(&mut client, "a"), Err(TransportError::Unreachable));
        get(&mut client, "b").unwrap();
        assert_eq!((whole(&mut client), client.fault()), (Ok("good".into()), None));
        assert_eq!(server.counts(), [1, 1]);
    }
}

#[test]
fn what_a_server_says_unasked_is_no_answer_to_the_next_request() {
    for first in [
        GOOD.repeat(2),
        format!("{}{GOOD}", page(0)),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{GOOD}"),
    ] {
        let server = Server::new([vec![said(&first), said("")], vec![said(GOOD)]]);
        assert_eq!(twice(&server, |client| drop(whole(client))), Ok("good".into()));
        assert_eq!(server.counts(), [1, 1], "{first}");
    }
}

#[test]
fn a_report_is_posted_again_where_the_connection_had_died() {
    let server = Server::new([
        vec![said(GOOD), then_ends("")],
        vec![said("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), said(GOOD)],
    ]);
    let mut client = server.client();
    get(&mut client, "a").unwrap();
    assert_eq!(whole(&mut client), Ok("good".into()));
    assert_eq!(block_on(client.post(b"{}")), Ok(200));
    assert_eq!(get(&mut client, "b").unwrap().status, 200);
    assert_eq!(server.counts(), [2, 2]);
    assert_eq!(server.heard()[0][1], server.heard()[1][0]);
}

#[test]
fn a_closed_client_opens_a_new_connection() {
    let server = Server::new([vec![said(GOOD), said(GOOD)], vec![said(GOOD)]]);
    assert_eq!(twice(&server, Client::close), Ok("good".into()));
    assert_eq!(server.counts(), [1, 1]);
    let mut client = Server::once(said(GOOD)).client();
    get(&mut client, "a").unwrap();
    client.close();
    assert_eq!(whole(&mut client), Ok(String::new()), "what was closed on purpose is at its end");
}

/// Polls a future once and drops it.
fn give_up<F: Future>(future: F) {
    let mut future = pin!(future);
    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending(), "it had to wait");
}

#[test]
fn a_request_or_a_read_that_is_given_up_halfway_is_not_gone_on_with() {
    let forever = || (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngo".to_vec(), After::Waiting);
    let server = Server::new([vec![forever(), said(GOOD)], vec![said(GOOD)]]);
    let mut client = server.client();
    get(&mut client, "a").unwrap();
    assert_eq!(block_on(client.read(&mut [0; 2])), Ok(2));
    give_up(client.read(&mut [0; 2]));
    assert_eq!(block_on(client.read(&mut [0; 2])), Err(TransportError::Truncated));
    get(&mut client, "b").unwrap();
    assert_eq!((whole(&mut client), server.counts()), (Ok("good".into()), vec![1, 1]));

    let server = Server::new([vec![said(GOOD), (vec![], After::Waiting)], vec![said(GOOD)]]);
    let mut client = server.client();
    get(&mut client, "a").unwrap();
    assert_eq!(whole(&mut client), Ok("good".into()));
    give_up(client.get("b", 0, None));
    assert_eq!(whole(&mut client), Err(TransportError::Unreachable));
    get(&mut client, "c").unwrap();
    assert_eq!((whole(&mut client), server.counts()), (Ok("good".into()), vec![2, 1]));
}
