//! Bodies: where they end, and what becomes of those that do not.

use super::*;

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n";

#[track_caller]
fn body(said: Said) -> Result<String, TransportError> {
    answer(said).1
}

#[test]
fn a_body_ends_where_its_length_says_and_the_rest_is_not_read() {
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(body(said(text)), Ok("hello".into()));
}

#[test]
fn a_body_shorter_than_announced_is_truncated_and_stays_so() {
    for after in [After::End, After::Failure] {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello".to_vec();
        let mut client = Server::once((text, after)).client();
        assert_eq!(get(&mut client, "a").unwrap().length, Some(10));
        assert_eq!(whole(&mut client), Err(TransportError::Truncated), "{after:?}");
        assert_eq!(block_on(client.read(&mut [0; 3])), Err(TransportError::Truncated));
        assert_eq!(client.fault(), Some(Fault::Short));
    }
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    assert_eq!(body(said(text)), Err(TransportError::TooSlow));
}

#[test]
fn a_body_without_a_length_ends_with_the_connection_and_not_with_its_failure() {
    for version in ["1.0", "1.1"] {
        let text = format!("HTTP/{version} 200 OK\r\n\r\nhello");
        for (after, expected) in [
            (After::End, Ok("hello".into())),
            (After::Failure, Err(TransportError::Truncated)),
            (After::Silence, Err(TransportError::TooSlow)),
        ] {
            assert_eq!(body((text.clone().into_bytes(), after)), expected, "{version} {after:?}");
        }
    }
}

#[test]
fn chunks_are_put_together() {
    for chunks in [
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        "B\r\nhello world\r\n0\r\n\r\n",
        "00000000b\r\nhello world\r\n000\r\n\r\n",
        "b;name=value\r\nhello world\r\n0;last\r\n\r\n",
        "b ; a=\"b;c\"\r\nhello world\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n",
    ] {
        let (head, body) = answer(said(&format!("{CHUNKED}{chunks}")));
        assert_eq!((head.length, body), (None, Ok("hello world".into())), "{chunks}");
    }
    assert_eq!(body(said(&format!("{CHUNKED}0\r\n\r\n"))), Ok(String::new()));
}

#[test]
fn chunks_that_are_none_are_refused() {
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(300));
    let trailer = format!("5\r\nhello\r\n0\r\n{}\r\n", "Name: value\r\n".repeat(100));
    for chunks in [
        "\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "x\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\rhello\r\n0\r\n\r\n",
        ";a\r\nhello\r\n0\r\n\r\n",
        "4\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "10000000000000000\r\nhello",
        &long,
        &trailer,
    ] {
        let (_, body, fault) = outcome(&said(&format!("{CHUNKED}{chunks}")));
        assert_eq!(body, Err(TransportError::Truncated), "{chunks:?}");
        assert_eq!(fault, Some(Fault::Chunk), "{chunks:?}");
    }
}

#[test]
fn chunks_that_end_too_early_are_truncated() {
    let whole = "5\r\nhello\r\n6;x\r\n world\r\n0\r\nA: b\r\n\r\n";
    for length in 0..whole.len() {
        for after in [After::End, After::Failure] {
            let text = format!("{CHUNKED}{}", &whole[..length]).into_bytes();
            assert_eq!(body((text, after)), Err(TransportError::Truncated), "{length}");
        }
        let text = format!("{CHUNKED}{}", &whole[..length]);
        assert_eq!(body(said(&text)), Err(TransportError::TooSlow), "{length}");
    }
    assert!(body(then_ends(&format!("{CHUNKED}{whole}"))).is_ok());
}

#[test]
fn a_chunk_larger_than_memory_is_only_more_to_come() {
    let text = format!("{CHUNKED}fffffffffffffff\r\nhello");
    assert_eq!(body(then_ends(&text)), Err(TransportError::Truncated));
}

#[test]
fn reading_nothing_is_no_end_and_before_a_request_there_is_nothing() {
    let mut client = Server::once(said("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")).client();
    assert_eq!(whole(&mut client), Ok(String::new()));
    get(&mut client, "a").unwrap();
    assert_eq!(block_on(client.read(&mut [])), Ok(0));
    assert_eq!(whole(&mut client), Ok("hi".into()));
    assert_eq!(whole(&mut client), Ok(String::new()));
}
