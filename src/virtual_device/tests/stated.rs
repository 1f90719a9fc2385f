//! Which version runs: what the image in flash states, not what its program was compiled as.

use semver::Version;

use super::bench::{Bench, Faults, Memory, Repository, image, runtime};
use crate::agent::agent::Outcome;
use crate::virtual_device::bootloader::Rollback;

/// What an agent that was compiled as 1.1.0 takes for the version that runs, and what it does then.
fn compiled_as_1_1_0(image: &[u8]) -> (String, Outcome) {
    let published = super::bench::image("1.2.1");
    let repository = Repository::with(&[("1.2.1", published)]);
    let bench = Bench::new(&repository.root, Rollback::Off);
    let device = &bench.device;
    // The bootloader starts what is sound; what the agent reads may be another matter.
    let mut booted = device.boot().unwrap();
    device.flash_over_cable((0x8000, &[0xff; 32]), image).unwrap();
    booted.version = Version::new(1, 1, 0);
    let mut agent = device.run(&booted, device.flash().clone()).unwrap();
    let version = agent.version().to_string();
    let mut memory = Memory::new(&repository, Faults::default());
    (version, runtime().block_on(agent.poll(&mut memory, None, &mut |_| {})).unwrap())
}

#[test]
fn an_old_program_under_a_newer_version_does_not_install_itself_for_ever() {
    let (version, outcome) = compiled_as_1_1_0(&image("1.2.1"));
    assert_eq!((version.as_str(), outcome), ("1.2.1", Outcome::UpToDate));
    let (version, _) = compiled_as_1_1_0(&image("v1.2.1"));
    assert_eq!(version, "1.2.1");
}

#[test]
fn an_image_that_states_no_version_runs_as_what_it_was_compiled_as() {
    let mut bare = image("1.2.1");
    bare[0x20] ^= 1; // the descriptor's magic word
    let mut foreign = image("1.2.1");
    foreign[0] = 0; // as encrypted flash might look
    for image in [image("yesterday"), image(""), bare, foreign] {
        let (version, outcome) = compiled_as_1_1_0(&image);
        assert_eq!((version.as_str(), outcome), ("1.1.0", Outcome::Installed));
    }
}
