//! Whatever pieces the bytes come in, the answer is the same.

use super::*;
use proptest::prelude::*;

fn answers() -> impl Strategy<Value = Said> {
    let text = "[ -~]{0,40}";
    let length = (text, 0..3usize).prop_map(|(body, interim)| {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(interim);
        let length = body.len();
        said(&format!(
            "{interim}HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    });
    let close = text.prop_map(|body| then_ends(&format!("HTTP/1.0 404 None\r\n\r\n{body}")));
    let chunked = (prop::collection::vec("[ -~]{1,20}", 0..4), "(A: b\r\n){0,2}").prop_map(
        |(chunks, trailer)| {
            let chunks: String =
                chunks.iter().map(|chunk| format!("{:x};e\r\n{chunk}\r\n", chunk.len())).collect();
            said(&format!(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n{trailer}\r\n"
            ))
        },
    );
    let cut = (prop_oneof![length.clone(), chunked.clone()], any::<prop::sample::Index>());
    let cut = cut.prop_map(|((mut bytes, _), at)| {
        bytes.truncate(at.index(bytes.len()));
        (bytes, After::End)
    });
    let odd = prop::collection::vec("(HTTP/1|\\.1 |200|404| OK|\r\n|\n|\r| |:|5|0|chunked|Content-Length|Transfer-Encoding|[ -~]){1}", 0..24)
        .prop_map(|words| then_ends(&words.concat()));
    prop_oneof![length, close, chunked, cut, odd]
}

/// All that can be learned of a server that says this twice.
fn all(said: &Said, cuts: &[usize]) -> String {
    let good = self::said("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    let server = Server::new([vec![said.clone(), good.clone()], vec![good]]);
    server.0.borrow_mut().cuts = cuts.to_vec();
    let mut client = server.client();
    let first = get(&mut client, "a");
    let body = whole(&mut client);
    let fault = client.fault();
    let second = get(&mut client, "b");
    format!("{first:?} {body:?} {fault:?} {second:?} {:?}", whole(&mut client))
}

proptest! {
    #[test]
    fn pieces_of_any_size_give_the_same_answer(
        said in answers(),
        cuts in prop::collection::vec(1..9usize, 1..20),
    ) {
        prop_assert_eq!(all(&said, &[]), all(&said, &cuts));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, cut in 1..4usize) {
        let mut begun = b"HTTP/1.1 200 OK\r\n".to_vec();
        begun.extend(&bytes);
        for bytes in [bytes, begun] {
            let mut client = Server::once((bytes, After::End)).client();
            client.connect().0.borrow_mut().cuts = vec![cut];
            let _ = get(&mut client, "a");
            let mut buf = [0; 7];
            while block_on(client.read(&mut buf)).is_ok_and(|count| count > 0) {}
        }
    }
}
