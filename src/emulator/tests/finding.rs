//! The emulator on this computer, or another program of its name.

use std::path::Path;

use super::Script;
use crate::chip::Chip;
use crate::emulator::{Emulator, EmulatorError, Program};
use crate::error::{Exit, Explained};

async fn find(emulator: Emulator, folder: &Path, chip: Chip) -> Result<Program, EmulatorError> {
    Program::find(emulator, None, Some(folder.as_os_str()), chip).await
}

/// What the QEMU of Debian prints, in part.
const DEBIAN: &str = "case \"$*\" in
--version) echo 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)';;
*) printf 'Supported machines are:\\nnone                 empty machine\\nvirt                 RISC-V VirtIO board\\n';;
esac";

#[tokio::test]
async fn espressif_s_qemu_is_told_from_debian_s_by_its_machines() {
    let debian = Script::new("qemu-system-riscv32", DEBIAN);
    let error = find(Emulator::Qemu, debian.folder.path(), Chip::Esp32c3).await.unwrap_err();
    assert!(matches!(error, EmulatorError::OtherQemu { .. }), "{error}");
    assert_eq!(error.exit(), Exit::Project);
    assert!(error.help().unwrap().contains("docs.espressif.com"));

    // Another machine whose name begins alike is not enough.
    let alike = DEBIAN.replace("virt  ", "esp32c3-like");
    let alike = Script::new("qemu-system-riscv32", &alike);
    assert!(find(Emulator::Qemu, alike.folder.path(), Chip::Esp32c3).await.is_err());

    let fork = DEBIAN.replace("virt   ", "esp32c3");
    let fork = Script::new("qemu-system-riscv32", &fork);
    let program = find(Emulator::Qemu, fork.folder.path(), Chip::Esp32c3).await.unwrap();
    assert_eq!(program.path, fork.path("qemu-system-riscv32"));
    assert!(program.version.starts_with("QEMU emulator version 7.2.22"));
}

#[tokio::test]
async fn a_missing_emulator_and_a_missing_program_are_two_answers() {
    let empty = tempfile::tempdir().unwrap();
    for emulator in [Emulator::Qemu, Emulator::EspEmu] {
        let error = find(emulator, empty.path(), Chip::Esp32c3).await.unwrap_err();
        assert!(matches!(error, EmulatorError::Missing(_)), "{error}");
        assert_eq!(error.exit(), Exit::Project);
        let named = empty.path().join("nothing");
        let error = Program::find(emulator, Some(&named), None, Chip::Esp32c3).await.unwrap_err();
        assert!(matches!(error, EmulatorError::NoProgram(_)), "{error}");
    }
}

#[tokio::test]
async fn a_chip_that_an_emulator_does_not_have_is_refused_before_it_is_looked_for() {
    let empty = tempfile::tempdir().unwrap();
    for (emulator, chip) in [
        (Emulator::Qemu, Chip::Esp32c6),
        (Emulator::Qemu, Chip::Esp32),
        (Emulator::EspEmu, Chip::Esp32c2),
    ] {
        let error = find(emulator, empty.path(), chip).await.unwrap_err();
        assert!(matches!(error, EmulatorError::Chip { .. }), "{error}");
    }
    let both = EmulatorError::Chip { emulator: Emulator::EspEmu, chip: Chip::Esp32 };
    assert_eq!(both.to_string(), "esp-emu does not emulate `esp32`, only `esp32c3` and `esp32c6`");
}
