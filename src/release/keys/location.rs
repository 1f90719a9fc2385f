//! Where a user's configuration lives, from the values of the environment.

use std::ffi::OsString;
use std::path::PathBuf;

/// Whose habits to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Linux and the like: XDG Base Directory Specification.
    Xdg,
    /// macOS: `~/Library/Application Support`, unless the user set up XDG.
    MacOs,
    /// Windows: `%APPDATA%`.
    Windows,
}

impl Platform {
    /// The platform this program was built for.
    pub const HERE: Self = if cfg!(windows) {
        Self::Windows
    } else if cfg!(target_os = "macos") {
        Self::MacOs
    } else {
        Self::Xdg
    };
}

/// The folder `esp-ota` inside the user's configuration folder. `variable` looks up an environment
/// variable. `None` where the environment names no home.
pub fn configuration_folder(
    platform: Platform,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    // A relative path is to be ignored (XDG Base Directory Specification, "Basics").
    let path = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = match platform {
        Platform::Xdg => path("XDG_CONFIG_HOME").or_else(|| Some(path("HOME")?.join(".config"))),
        Platform::MacOs => path("XDG_CONFIG_HOME")
            .or_else(|| Some(path("HOME")?.join("Library").join("Application Support"))),
        Platform::Windows => path("APPDATA"),
    };
    Some(base?.join("esp-ota"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn folder(platform: Platform, variables: &[(&str, &str)]) -> Option<PathBuf> {
        configuration_folder(platform, |name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_users_own_choice_comes_before_the_default() {
        let both = [("XDG_CONFIG_HOME", "/c"), ("HOME", "/h")];
        assert_eq!(folder(Platform::Xdg, &both), Some("/c/esp-ota".into()));
        assert_eq!(folder(Platform::MacOs, &both), Some("/c/esp-ota".into()));
        let home = [("HOME", "/h")];
        assert_eq!(folder(Platform::Xdg, &home), Some("/h/.config/esp-ota".into()));
        assert_eq!(
            folder(Platform::MacOs, &home),
            Some("/h/Library/Application Support/esp-ota".into())
        );
        assert_eq!(folder(Platform::Windows, &[("APPDATA", "/a")]), Some("/a/esp-ota".into()));
    }

    #[test]
    fn a_relative_or_missing_home_is_no_home() {
        let relative = [("XDG_CONFIG_HOME", "c"), ("HOME", "/h")];
        assert_eq!(folder(Platform::Xdg, &relative), Some("/h/.config/esp-ota".into()));
        assert_eq!(folder(Platform::Xdg, &[("XDG_CONFIG_HOME", "")]), None);
        assert_eq!(folder(Platform::Windows, &[("HOME", "/h")]), None);
    }
}
