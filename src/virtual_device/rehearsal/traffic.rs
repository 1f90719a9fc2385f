//! What went over the wire, by kind of file.

use serde::Serialize;

/// Requests for one kind of file, and the bytes of their answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Files {
    /// Requests, those for files that do not exist included.
    pub requests: u32,
    /// Bytes of answers' bodies that the agent took in. Headers and TLS come on top.
    pub bytes: u64,
}

/// All files of one update.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Traffic {
    /// `N.root.json`: asked for once in vain where the root is current.
    pub root: Files,
    /// `timestamp.json`.
    pub timestamp: Files,
    /// `N.snapshot.json`.
    pub snapshot: Files,
    /// `N.targets.json`.
    pub targets: Files,
    /// The image.
    pub image: Files,
}

impl Traffic {
    /// The counter for a path below the repository's URL.
    pub(super) fn of(&mut self, path: &str) -> &mut Files {
        let Some(metadata) = path.strip_prefix("metadata/") else { return &mut self.image };
        if metadata.ends_with("timestamp.json") {
            &mut self.timestamp
        } else if metadata.ends_with(".snapshot.json") {
            &mut self.snapshot
        } else if metadata.ends_with(".targets.json") {
            &mut self.targets
        } else {
            &mut self.root
        }
    }

    /// Counts what went over another wire, too.
    pub(super) fn add(&mut self, other: Self) {
        for (mine, more) in [
            (&mut self.root, other.root),
            (&mut self.timestamp, other.timestamp),
            (&mut self.snapshot, other.snapshot),
            (&mut self.targets, other.targets),
            (&mut self.image, other.image),
        ] {
            mine.requests = mine.requests.saturating_add(more.requests);
            mine.bytes = mine.bytes.saturating_add(more.bytes);
        }
    }

    /// Everything together.
    pub fn total(&self) -> Files {
        let Self { root, timestamp, snapshot, targets, image } = self;
        [root, timestamp, snapshot, targets, image].into_iter().fold(Files::default(), |sum, it| {
            Files {
                requests: sum.requests.saturating_add(it.requests),
                bytes: sum.bytes.saturating_add(it.bytes),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_counts_as_what_it_is() {
        let mut traffic = Traffic::default();
        for (path, bytes) in [
            ("metadata/2.root.json", 1),
            ("metadata/timestamp.json", 20),
            ("metadata/staged/timestamp.json", 300),
            ("metadata/4.snapshot.json", 4_000),
            ("metadata/4.targets.json", 50_000),
            ("targets/ab.root.json", 600_000),
        ] {
            let files = traffic.of(path);
            files.requests += 1;
            files.bytes += bytes;
        }
        let files = |requests, bytes| Files { requests, bytes };
        let expected = Traffic {
            root: files(1, 1),
            timestamp: files(2, 320),
            snapshot: files(1, 4_000),
            targets: files(1, 50_000),
            image: files(1, 600_000),
        };
        assert_eq!(traffic, expected);
        assert_eq!(traffic.total(), files(6, 654_321));
        traffic.add(expected);
        assert_eq!(traffic.total(), files(12, 1_308_642));
    }
}
