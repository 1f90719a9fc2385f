//! Heads: what is taken from them, and which are refused.

use super::*;

const DATE: &str = "Date: Tue, 01 Jun 2027 00:00:00 GMT\r\n";

#[test]
fn a_head_says_what_the_agent_wants_to_know() {
    let (head, body) = answer(said(&format!(
        "HTTP/1.1 200 OK\r\nServer: x\r\ncontent-LENGTH:  5\t\r\n{DATE}eTag: W/\"tag\"\r\n\r\nhello"
    )));
    let expected = Response {
        status: 200,
        length: Some(5),
        start: 0,
        date: Some(1_811_808_000),
        etag: Some("W/\"tag\"".into()),
    };
    assert_eq!((head, body), (expected, Ok("hello".into())));
}

#[test]
fn a_partial_answer_says_where_it_starts() {
    for range in ["bytes 4-9/10", "Bytes 4-9/*", "bytes 4-9/5000000000"] {
        let (head, body) = answer(said(&format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: 6\r\nContent-Range: {range}\r\n\r\n456789"
        )));
        assert_eq!((head.status, head.start, head.length), (206, 4, Some(6)), "{range}");
        assert_eq!(body, Ok("456789".into()));
    }
}

#[test]
fn a_partial_answer_without_a_clear_place_is_of_no_use() {
    for range in [
        "",
        "Content-Range: bytes\r\n",
        "Content-Range: bytes 4\r\n",
        "Content-Range: bytes 4-\r\n",
        "Content-Range: bytes 4-9\r\n",
        "Content-Range: bytes */10\r\n",
        "Content-Range: bytes=4-9/10\r\n",
        "Content-Range: lines 4-9/10\r\n",
        "Content-Range: bytes +4-9/10\r\n",
        "Content-Range: bytes 4-9/9\r\n",
        "Content-Range: bytes 4-9/x\r\n",
        "Content-Range: bytes 9-4/10\r\n",
        "Content-Range: bytes 0-18446744073709551616/*\r\n",
        "Content-Range: bytes 4-9/10\r\nContent-Range: bytes 4-9/10\r\n",
        "Content-Range: bytes 4-9/10, bytes 4-9/10\r\n",
    ] {
        let text = format!("HTTP/1.1 206 P\r\nContent-Length: 6\r\n{range}\r\n456789");
        assert_eq!(refusal(said(&text)), Fault::Range, "{range}");
    }
    let far = "HTTP/1.1 206 P\r\nContent-Length: 1\r\nContent-Range: bytes 4294967296-4294967296/*\r\n\r\nx";
    assert_eq!(refusal(said(far)), Fault::TooLong);
}

#[test]
fn any_status_is_an_answer_and_a_redirect_is_not_followed() {
    for status in [200, 201, 302, 307, 403, 404, 416, 500, 503, 599, 999] {
        let text = format!(
            "HTTP/1.1 {status} Whatever\r\nLocation: /other\r\nContent-Length: 2\r\n\r\nno"
        );
        let server = Server::once(said(&text));
        let mut client = server.client();
        assert_eq!(get(&mut client, "a").unwrap().status, status);
        assert_eq!(whole(&mut client), Ok("no".into()));
        assert_eq!(server.counts(), [1]);
    }
}

#[test]
fn answers_that_have_no_body_have_none() {
    for head in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 000\r\n\r\n",
    ] {
        assert_eq!(answer(said(head)).1, Ok(String::new()), "{head}");
    }
}

#[test]
fn interim_answers_are_passed_over() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    let (head, body) = answer(said(&format!(
        "{go_on}{hints}{hints}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    )));
    assert_eq!((head.status, body), (200, Ok("hi".into())));
}

#[test]
fn interim_answers_without_end_are_one_head_too_large() {
    let go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(refusal(said(&go_on.repeat(2_000))), Fault::HeadTooLarge);
    assert_eq!(refusal(said(go_on)), Fault::Slow);
    assert_eq!(refusal(then_ends(go_on)), Fault::Short, "an answer had begun");
    assert_eq!(
        refusal(said("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n")),
        Fault::Head
    );
}

/// A good head of that many bytes.
fn head_of(length: usize) -> String {
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCookie: \r\n\r\n".len();
    let filler = "x".repeat(length.checked_sub(empty).unwrap());
    format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCookie: {filler}\r\n\r\n")
}

#[test]
fn the_largest_head_is_8_kib() {
    let (head, body) = answer(said(&format!("{}hi", head_of(8192))));
    assert_eq!((head.status, body), (200, Ok("hi".into())));
    assert_eq!(refusal(said(&format!("{}hi", head_of(8193)))), Fault::HeadTooLarge);
    assert_eq!(refusal(said(&head_of(100_000))), Fault::HeadTooLarge);
    assert_eq!(Fault::HeadTooLarge.kind().code(), "head-too-large");
}

#[test]
fn too_many_headers_are_a_head_too_large() {
    let head = |count: usize| {
        format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n", "A: b\r\n".repeat(count))
    };
    assert_eq!(answer(said(&head(63))).0.status, 200);
    assert_eq!(refusal(said(&head(64))), Fault::HeadTooLarge);
}

#[test]
fn what_is_no_head_is_refused() {
    for text in [
        "<html>please log in</html>\r\n\r\n",
        "hTTP/1.1 200 OK\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/0.9 200 OK\r\n\r\n",
        "HTTP/1.2 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 000 OK\r\n\r\n",
        "HTTP/1.1 -20 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        " HTTP/1.1 200 OK\r\n\r\n",
        "\u{feff}HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: no name\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\n Content-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nA: b\r\n\tfolded\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nA: \u{0}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\u{7f}\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\rContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA(b): c\r\n\r\n",
        "HTTP/1.1 200 O\u{1}K\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\n\n",
    ] {
        assert_eq!(refusal(said(text)), Fault::Head, "{text:?}");
    }
}

#[test]
fn garbage_is_refused_at_its_first_byte_and_not_waited_for() {
    assert_eq!(refusal(said("220 mail.example.com ESMTP")), Fault::Head);
    assert_eq!(refusal(said("HTTQ")), Fault::Head);
    assert_eq!(refusal(said("HTTP")), Fault::Slow, "this may become one");
}

#[test]
fn a_length_that_is_unclear_is_refused() {
    for length in [
        "Content-Length:\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 0x5\r\n",
        "Content-Length: 5 5\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5.0\r\n",
        "Content-Length: ٥\r\n",
        "Content-Length: 99999999999999999999999999\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length: 6\r\n",
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{length}\r\nhello");
        assert_eq!(refusal(said(&text)), Fault::Length, "{length}");
    }
    for length in [4_294_967_296_u64, u64::MAX] {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        assert_eq!(refusal(said(&text)), Fault::TooLong);
    }
    let longest = answer(said("HTTP/1.1 200 OK\r\nContent-Length: 4294967295\r\n\r\nx"));
    assert_eq!((longest.0.length, longest.1), (Some(u32::MAX), Err(TransportError::TooSlow)));
}

#[test]
fn a_coding_that_is_unknown_or_beside_a_length_is_refused() {
    for head in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
    ] {
        assert_eq!(refusal(said(&format!("{head}\r\n0\r\n\r\n"))), Fault::Coding, "{head}");
    }
}

#[test]
fn a_compressed_body_is_refused_and_a_compressed_error_page_is_none_of_ours() {
    for coding in ["gzip", "br", "identity, gzip", "identity\r\nContent-Encoding: gzip", ""] {
        for status in ["200 OK", "206 P\r\nContent-Range: bytes 0-1/2"] {
            let text = format!(
                "HTTP/1.1 {status}\r\nContent-Length: 2\r\nContent-Encoding: {coding}\r\n\r\nhi"
            );
            assert_eq!(refusal(said(&text)), Fault::Encoded, "{status} {coding}");
        }
    }
    for (status, coding) in [("200 OK", "Identity"), ("404 Not Found", "gzip")] {
        let text = format!(
            "HTTP/1.1 {status}\r\nContent-Length: 2\r\nContent-Encoding: {coding}\r\n\r\nhi"
        );
        assert_eq!(answer(said(&text)).1, Ok("hi".into()), "{status}");
    }
}

#[test]
fn a_date_or_a_tag_that_is_none_is_left_out() {
    for (header, date, etag) in [
        ("Date: yesterday", None, None),
        ("Date: Tue, 01 Jun 2027 00:00:00 CET", None, None),
        ("ETag: \"\u{fc}\"", None, None),
        ("ETag: \"a\tb\"", None, None),
        ("ETag: \"tag\"", None, Some("\"tag\"")),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{header}\r\n\r\n");
        let (head, _) = answer(said(&text));
        assert_eq!((head.date, head.etag.as_deref()), (date, etag), "{header}");
    }
}

#[test]
fn a_server_that_goes_away_is_told_from_one_that_breaks_off() {
    assert_eq!(refusal(then_ends("")), Fault::NoAnswer);
    assert_eq!(refusal((vec![], After::Failure)), Fault::NoAnswer);
    assert_eq!(Fault::NoAnswer.kind(), TransportError::Unreachable);
    for after in [After::End, After::Failure] {
        assert_eq!(refusal((b"HTTP/1.1 200 OK\r\n".to_vec(), after)), Fault::Short);
    }
    assert_eq!(Fault::Short.kind(), TransportError::Truncated);
    assert_eq!(refusal(said("")), Fault::Slow);
    assert_eq!(refusal(said("HTTP/1.1 200 OK\r\n")), Fault::Slow);
    assert_eq!(Fault::Slow.kind(), TransportError::TooSlow);
}

#[test]
fn lines_may_end_with_a_line_feed_alone() {
    let (head, body) = answer(said("HTTP/1.1 200 OK\nContent-Length: 2\r\nA: b\n\nhi"));
    assert_eq!((head.length, body), (Some(2), Ok("hi".into())));
}
