//! tough's own client, with its own rules and clock, reads over HTTPS what `publish` and `keys rotate`
//! wrote. python-tuf does the same in `tests/independent/python_tuf.py`.

use std::collections::BTreeMap;
use std::fs;

use futures_util::{TryStreamExt, stream};
use reqwest::{Client, StatusCode};
use tough::{
    RepositoryLoader, TargetName, Transport, TransportError, TransportErrorKind, TransportStream,
    async_trait,
};
use url::Url;

use crate::harness::Project;
use crate::material;
use crate::releases::target;
use crate::serve::{Server, client};

/// The network as tough sees it: what is not there is 403 or 404, and any other failure is one.
#[derive(Clone, Debug)]
struct Https(Client);

#[async_trait]
impl Transport for Https {
    async fn fetch(&self, url: Url) -> Result<TransportStream, TransportError> {
        let failed = |kind, error| TransportError::new_with_cause(kind, &url, error);
        let other = |error| failed(TransportErrorKind::Other, error);
        let answer = self.0.get(url.clone()).send().await.map_err(other)?;
        let absent = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND].contains(&answer.status());
        let kind =
            if absent { TransportErrorKind::FileNotFound } else { TransportErrorKind::Other };
        let answer = answer.error_for_status().map_err(|error| failed(kind, error))?;
        let pieces = stream::try_unfold((answer, url), |(mut answer, url)| async {
            match answer.chunk().await {
                Ok(piece) => Ok(piece.map(|bytes| (bytes, (answer, url)))),
                Err(error) => {
                    Err(TransportError::new_with_cause(TransportErrorKind::Other, url, error))
                }
            }
        });
        Ok(Box::pin(pieces))
    }
}

/// What tough's client takes from a server: the version of its newest root, and each listed file.
async fn fetched(
    server: &Server,
    pem: &[u8],
    root: &[u8],
) -> tough::error::Result<(u64, BTreeMap<String, Vec<u8>>)> {
    let address = |folder: &str| Url::parse(&format!("{}/{folder}/", server.report.url)).unwrap();
    let repository = RepositoryLoader::new(&root, address("metadata"), address("targets"))
        .transport(Https(client(pem)))
        .load()
        .await?;
    let names: Vec<TargetName> = repository.targets().signed.targets.keys().cloned().collect();
    let mut files = BTreeMap::new();
    for name in names {
        let stream = repository.read_target(&name).await?.expect("a file that is listed");
        let pieces: Vec<_> = stream.try_collect().await?;
        files.insert(name.raw().to_owned(), pieces.concat());
    }
    Ok((repository.root().signed.version.get(), files))
}

/// A project with these releases, and what a client has to find.
fn published(versions: &[&str]) -> (Project, BTreeMap<String, Vec<u8>>) {
    let mut project = Project::made();
    let mut files = BTreeMap::new();
    for version in versions {
        let image = material::image(version);
        project = project.file("a.bin", &image);
        project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
        files.insert(format!("thermostat-esp32c3-{version}.bin"), image);
    }
    (project, files)
}

fn bench_root(server: &Server) -> Vec<u8> {
    fs::read(&server.report.root_ca).unwrap()
}

#[tokio::test]
async fn tough_downloads_every_release_that_was_published() {
    let (project, published) = published(&["1.0.0", "1.1.0", "1.2.0"]);
    let root = fs::read(project.path("trust/root.json")).unwrap();
    let server = Server::start(&project, &[]);
    let (version, files) = fetched(&server, &bench_root(&server), &root).await.unwrap();
    assert_eq!(version, 1);
    assert_eq!(files, published);
}

#[tokio::test]
async fn tough_follows_new_keys_of_every_role_from_the_first_root() {
    let (project, mut published) = published(&["1.0.0"]);
    let first = fs::read(project.path("trust/root.json")).unwrap();
    let roles = ["root", "targets", "snapshot", "timestamp"];
    let rotate = ["keys", "rotate", "--offline", "--yes", "-qq"];
    let named = roles.into_iter().flat_map(|role| ["--role", role]);
    project.run(rotate.into_iter().chain(named)).exits(0).stderr("");
    project.run(rotate).exits(0).stderr("");
    let next = material::image("1.1.0");
    let project = project.file("a.bin", &next);
    project.run(["publish", "a.bin", "-q"]).exits(0).stderr("");
    published.insert("thermostat-esp32c3-1.1.0.bin".into(), next);

    let server = Server::start(&project, &[]);
    let newest = fs::read(project.path("trust/root.json")).unwrap();
    assert_ne!(first, newest);
    for root in [first, newest] {
        let (version, files) = fetched(&server, &bench_root(&server), &root).await.unwrap();
        assert_eq!(version, 3);
        assert_eq!(files, published);
    }
}

/// Without these the tests above would prove nothing.
#[tokio::test]
async fn tough_refuses_other_bytes_other_keys_and_another_authority() {
    let (project, _) = published(&["1.0.0"]);
    let root = fs::read(project.path("trust/root.json")).unwrap();
    let server = Server::start(&project, &[]);
    let pem = bench_root(&server);

    let foreign = Project::new();
    foreign.run(["init", "--product", "thermostat"]).exits(0).stderr("");
    let other_root = fs::read(foreign.path("trust/root.json")).unwrap();
    let error = fetched(&server, &pem, &other_root).await.unwrap_err();
    assert!(matches!(error, tough::error::Error::VerifyMetadata { .. }), "{error:?}");

    let error = fetched(&server, material::bench_root().as_bytes(), &root).await.unwrap_err();
    assert!(matches!(error, tough::error::Error::Transport { .. }), "{error:?}");

    let image = target(&project, "1.0.0");
    fs::write(&image, material::tampered(fs::read(&image).unwrap())).unwrap();
    let error = fetched(&server, &pem, &root).await.unwrap_err();
    assert!(format!("{error:?}").contains("HashMismatch"), "{error:?}");
}
