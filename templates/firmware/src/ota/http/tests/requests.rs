//! What goes out: the lines of a request, and paths that cannot be more than paths.

use super::*;

const NONE: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// The request that asks for a file.
fn asked(path: &str, from: u32, if_range: Option<&str>) -> String {
    let server = Server::once(said(NONE));
    block_on(server.client().get(path, from, if_range)).unwrap();
    server.heard()[0][0].clone()
}

#[test]
fn a_request_names_file_and_host() {
    let expected = "GET /folder/metadata/1.root.json HTTP/1.1\r\nHost: u.example:8443\r\nUser-Agent: esp-ota\r\n\r\n";
    assert_eq!(asked("metadata/1.root.json", 0, None), expected);
    assert_eq!(asked("metadata/1.root.json", 0, Some("\"tag\"")), expected);
}

#[test]
fn a_resumed_request_carries_range_and_tag() {
    assert!(
        asked("a", 4096, Some("\"tag\""))
            .ends_with("\r\nRange: bytes=4096-\r\nIf-Range: \"tag\"\r\n\r\n")
    );
    assert!(asked("a", 1, None).ends_with("\r\nRange: bytes=1-\r\n\r\n"));
}

#[test]
fn a_tag_that_no_header_can_carry_asks_for_the_whole_file() {
    for tag in ["\"a\r\nX: b\"", "\"a\nb\"", "\u{0}", "\"ü\"", "\"\u{7f}\""] {
        assert_eq!(asked("a", 4096, Some(tag)), asked("a", 0, None), "{tag:?}");
    }
}

#[test]
fn a_path_stays_below_the_folder_and_in_its_line() {
    for (path, line) in [
        ("targets/ab.p-esp32c3-1.0.0~rc_1.bin", "targets/ab.p-esp32c3-1.0.0~rc_1.bin"),
        ("a b", "a%20b"),
        ("a?b#c", "a%3Fb%23c"),
        ("a+b&c=d;e,f", "a%2Bb%26c%3Dd%3Be%2Cf"),
        ("%2e%2e/x", "%252e%252e/x"),
        ("a\\..\\b", "a%5C..%5Cb"),
        ("a HTTP/1.1\r\nHost: evil\r\n\r\n", "a%20HTTP/1.1%0D%0AHost%3A%20evil%0D%0A%0D%0A"),
        ("ü\u{0}", "%C3%BC%00"),
        ("//evil.example/a", "//evil.example/a"),
        ("https://evil.example/a", "https%3A//evil.example/a"),
        ("@evil.example", "%40evil.example"),
        ("...", "..."),
        ("", ""),
    ] {
        let request = asked(path, 0, None);
        let first = request.split_once("\r\n").unwrap().0;
        assert_eq!(first, format!("GET /folder/{line} HTTP/1.1"), "{path:?}");
        assert_eq!(request.matches("\r\n").count(), 4, "{path:?}");
    }
}

#[test]
fn a_path_to_another_folder_is_never_asked_for() {
    for path in ["..", "../x", "a/../../x", "a/..", ".", "./a", "a/./b", "/.."] {
        let server = Server::once(said(NONE));
        let mut client = server.client();
        assert_eq!(get(&mut client, path), Err(TransportError::Unreachable), "{path}");
        assert_eq!((client.fault(), server.counts().len()), (Some(Fault::Path), 0), "{path}");
    }
}

#[test]
fn a_report_goes_to_the_url_itself() {
    for (url, line) in [
        ("https://u.example/reports", "/reports"),
        ("https://u.example/reports/", "/reports/"),
        ("https://u.example", "/"),
    ] {
        let server = Server::once(said("HTTP/1.1 204 No Content\r\n\r\n"));
        let mut client = Client::new(server.clone(), Url::parse(url).unwrap());
        assert_eq!(block_on(client.post(b"{\"schema\":1}")), Ok(204));
        let expected = format!(
            "POST {line} HTTP/1.1\r\nHost: u.example\r\nUser-Agent: esp-ota\r\n\
             Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{{\"schema\":1}}"
        );
        assert_eq!(server.heard(), [[expected]]);
    }
}

#[test]
fn a_report_to_nobody_says_why() {
    for refusal in [TransportError::Untrusted, TransportError::TooSlow] {
        let server = Server::default();
        server.0.borrow_mut().refusal = Some(refusal);
        let mut client = server.client();
        assert_eq!(block_on(client.post(b"{}")), Err(refusal));
        assert_eq!((get(&mut client, "a"), client.fault()), (Err(refusal), None));
        assert_eq!(block_on(client.read(&mut [0; 3])), Err(refusal));
    }
}
