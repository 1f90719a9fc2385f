//! A repository that python-tuf wrote, step by step, with keys of both kinds and new ones in every role.
//!
//! The steps lie in `tests/vectors/tuf/`, so that no Python is needed; PYTHON_TUF_REPOSITORY names a
//! folder with steps that were written just now.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::device::{Accepted, Device, Memory, refused};
use crate::repository::{Files, Repository};
use crate::world::World;

/// What the server has after each step, the first one first.
fn steps() -> Vec<Files> {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tuf/python-tuf");
    let folder = env::var_os("PYTHON_TUF_REPOSITORY").map_or(vectors, PathBuf::from);
    let mut names: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut files = Files::new();
    let after = |step: PathBuf| {
        read(&step, &step, &mut files);
        files.clone()
    };
    names.into_iter().map(after).collect()
}

fn read(folder: &Path, below: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, below, files);
        } else {
            let name = path.strip_prefix(below).unwrap().to_str().unwrap().replace('\\', "/");
            files.insert(name, fs::read(path).unwrap());
        }
    }
}

/// A world in which the server has these files, and the device knows nothing yet.
async fn world(files: &Files) -> World {
    let mut repository = Repository::new();
    repository.files = files.clone();
    World::of(repository).await
}

#[tokio::test]
async fn each_step_is_taken_or_refused_for_its_reason() {
    let steps = steps();
    let mut world = world(&steps[0]).await;
    for (step, (verdict, root, versions)) in [
        (Accepted, 0, [1, 1, 1]),
        (Accepted, 0, [2, 2, 2]),
        (Accepted, 2, [3, 3, 3]),
        (Accepted, 3, [4, 4, 4]),
        (refused("rollback-timestamp"), 3, [4, 4, 4]),
        (refused("threshold-root"), 3, [4, 4, 4]),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(world.refresh_from(&steps[step]).await, verdict, "step {}", step + 1);
        assert_eq!(world.memory(), Memory { root, online: versions }, "step {}", step + 1);
    }
    assert_eq!(steps.len(), 6);
}

#[tokio::test]
async fn a_device_that_wakes_up_late_follows_all_rotations_at_once() {
    let steps = steps();
    for first in 0..3 {
        let mut world = world(&steps[first]).await;
        assert_eq!(world.refresh().await, Accepted);
        assert_eq!(world.refresh_from(&steps[3]).await, Accepted, "from step {}", first + 1);
        assert_eq!(world.memory(), Memory { root: 3, online: [4, 4, 4] });
        world.device = Device::of(&world.repository);
        assert_eq!(world.refresh_from(&steps[3]).await, Accepted, "a new device");
    }
}

#[tokio::test]
async fn its_files_are_where_the_metadata_says() {
    let steps = steps();
    let mut world = world(&steps[3]).await;
    assert_eq!(world.refresh().await, Accepted);
    for name in ["thermostat-1.4.0.bin", "esp32c3/firmware.bin"] {
        let target = world.trusted().targets.find(name).unwrap();
        let file = &steps[3][&target.path(true).unwrap()];
        assert_eq!(file, format!("{name} 4").as_bytes());
        let note = target.custom().unwrap().member("note").unwrap().text().unwrap();
        assert_eq!(note.to_string(), "größe \"\\\" 😀\n");
    }
}
