//! Settings for one device, as they are named on the command line: all but the passphrase, which
//! everybody on the machine could read there.

use std::fmt;
use std::io::{self, BufRead};
use std::str::FromStr;

use crate::agent::settings::Problem;
use crate::commands::Context;
use crate::commands::context::variable;
use crate::config;
use crate::device::nvs::Given;
use crate::error::{Exit, Explained, Failure};

/// Where CI has the passphrase.
const PASSWORD: &str = "ESP_OTA_WIFI_PASSWORD";
/// What `--set` takes.
const KEYS: [&str; 3] = ["url", "channel", "poll_s"];
/// Longest first line of standard input: a passphrase has 64 bytes at most.
const LONGEST_LINE: u64 = 1024;

/// What is written into the device's NVS.
#[derive(Debug, Default, clap::Args)]
pub(super) struct DeviceSettings {
    /// Wi-Fi network that the device joins
    ///
    /// Its passphrase is `ESP_OTA_WIFI_PASSWORD`, or asked for on a terminal.
    #[arg(long, value_name = "SSID")]
    wifi_ssid: Option<String>,
    /// Read the passphrase from the first line of standard input
    #[arg(long, requires = "wifi_ssid", conflicts_with = "wifi_open")]
    wifi_password_stdin: bool,
    /// Join a network without a passphrase
    #[arg(long, requires = "wifi_ssid")]
    wifi_open: bool,
    /// Set `url`, `channel` or `poll_s` for this device alone
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<Assignment>,
}

/// What was typed for `--set`. It may be a secret that does not belong there, so it is not shown.
#[derive(Clone)]
struct Assignment(String);

/// The settings cannot be read from command line and surroundings.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    #[error("there is no passphrase for the network `{0}`")]
    NoPassword(String),
    #[error("no passphrase was typed for the network `{0}`")]
    NothingTyped(String),
    #[error("the passphrase cannot be read from standard input")]
    Input(#[source] io::Error),
    #[error("a `--set` is not of the form `KEY=VALUE`")]
    Form,
    #[error(
        "`wifi_psk` is no setting for the command line, which others on this machine and the \
         shell's history can read"
    )]
    Secret,
    #[error("`wifi_ssid` is no setting of its own: a network needs its passphrase, too")]
    Network,
    #[error("`{key}` is no setting of a device")]
    Unknown { key: String, meant: Option<&'static str> },
    #[error("`{0}` is set twice")]
    Twice(String),
    #[error("`poll_s` is `{0}`, and has to be a number of seconds")]
    Seconds(String),
    #[error("{0}")]
    Value(Problem),
}

impl Explained for SettingsError {
    fn exit(&self) -> Exit {
        match self {
            Self::Input(_) => Exit::Project,
            Self::NoPassword(_)
            | Self::NothingTyped(_)
            | Self::Form
            | Self::Secret
            | Self::Network
            | Self::Unknown { .. }
            | Self::Twice(_)
            | Self::Seconds(_)
            | Self::Value(_) => Exit::Usage,
        }
    }

    fn help(&self) -> Option<String> {
        let ways = "set `ESP_OTA_WIFI_PASSWORD`, pass `--wifi-password-stdin`, or run it on a \
                    terminal, where it is asked for";
        match self {
            Self::NoPassword(_) => {
                Some(format!("{ways}; `--wifi-open` is for a network without one"))
            }
            Self::NothingTyped(_) => Some(
                "run it again and type the passphrase; `--wifi-open` is for a network without one"
                    .into(),
            ),
            Self::Secret => Some(format!("name the network with `--wifi-ssid`, and {ways}")),
            Self::Network => Some("name the network with `--wifi-ssid`".into()),
            Self::Form => Some("write it as in `--set channel=beta`".into()),
            Self::Unknown { meant: Some(meant), .. } => {
                Some(format!("did you mean `{meant}`? There is {}", listed()))
            }
            Self::Unknown { meant: None, .. } => Some(format!("use one of {}", listed())),
            Self::Twice(_) => Some("set it once".into()),
            Self::Input(_) => Some("give it one line of UTF-8 text".into()),
            Self::Value(Problem::Psk) => {
                Some("check the passphrase; `--wifi-open` is for a network without one".into())
            }
            Self::Seconds(_) | Self::Value(_) => Some("correct the value".into()),
        }
    }
}

fn listed() -> String {
    KEYS.map(|key| format!("`{key}`")).join(", ")
}

impl DeviceSettings {
    /// Reads what is named, and the passphrase from where it is; asks for it where that is possible.
    /// To be called before a device is touched.
    pub(super) fn read(&self, context: &Context) -> Result<Given, Failure> {
        let ask = |ssid: &str| {
            let dialogue = context.output.dialogue();
            let dialogue = dialogue.ok_or_else(|| SettingsError::NoPassword(ssid.into()))?;
            dialogue
                .ask_hidden(format_args!("Passphrase of `{}`:", ssid.escape_debug()))
                .ok_or_else(|| SettingsError::NothingTyped(ssid.into()))
        };
        // Not locked: whoever is asked answers there, too.
        Ok(self.given(variable, io::BufReader::new(io::stdin()), ask)?)
    }

    fn given(
        &self,
        variable: impl Fn(&str) -> Option<String>,
        input: impl BufRead,
        ask: impl FnOnce(&str) -> Result<String, SettingsError>,
    ) -> Result<Given, SettingsError> {
        let mut given = Given::default();
        // First what needs no secret: nobody wants to type one for nothing.
        for (index, assignment) in self.set.iter().enumerate() {
            let (key, value) = assignment.parts()?;
            let before = self.set.iter().take(index);
            if before.flat_map(Assignment::parts).any(|(other, _)| other == key) {
                return Err(SettingsError::Twice(key.into()));
            }
            set(&mut given, key, value)?;
        }
        if let Some(ssid) = &self.wifi_ssid {
            // Whether it is one at all.
            Given::default().wifi(ssid.clone(), None).map_err(SettingsError::Value)?;
            let psk = self.password(ssid, variable, input, ask)?;
            given.wifi(ssid.clone(), psk).map_err(SettingsError::Value)?;
        }
        Ok(given)
    }

    /// The passphrase; `None` for an open network.
    fn password(
        &self,
        ssid: &str,
        variable: impl Fn(&str) -> Option<String>,
        input: impl BufRead,
        ask: impl FnOnce(&str) -> Result<String, SettingsError>,
    ) -> Result<Option<String>, SettingsError> {
        if self.wifi_open {
            return Ok(None);
        }
        if self.wifi_password_stdin {
            return first_line(input).map(Some).map_err(SettingsError::Input);
        }
        let found = variable(PASSWORD).filter(|value| !value.is_empty());
        found.map_or_else(|| ask(ssid), Ok).map(Some)
    }
}

fn set(given: &mut Given, key: &str, value: &str) -> Result<(), SettingsError> {
    match key {
        "url" => given.url(value),
        "channel" => given.channel(value),
        "poll_s" => {
            let seconds = value.parse().map_err(|_| SettingsError::Seconds(value.into()))?;
            given.poll_seconds(seconds)
        }
        "wifi_psk" => return Err(SettingsError::Secret),
        "wifi_ssid" => return Err(SettingsError::Network),
        _ => {
            return Err(SettingsError::Unknown {
                key: key.into(),
                meant: config::meant(key, &KEYS),
            });
        }
    }
    .map_err(SettingsError::Value)
}

/// The first line, without its end.
fn first_line(input: impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    input.take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8(line.to_vec())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

impl Assignment {
    fn parts(&self) -> Result<(&str, &str), SettingsError> {
        self.0.split_once('=').ok_or(SettingsError::Form)
    }
}

impl FromStr for Assignment {
    type Err = std::convert::Infallible;

    /// Judged later: clap would print a bad one, and it may be a passphrase.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Assignment(…)")
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::agent::settings::SHORTEST_POLL;

    const PSK: &str = "correct horse battery";

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        settings: DeviceSettings,
    }

    fn line(arguments: &[&str]) -> DeviceSettings {
        let arguments = ["flash"].iter().chain(arguments);
        Line::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}")).settings
    }

    /// With nothing in the environment, and nobody to ask.
    fn alone(arguments: &[&str]) -> Result<Given, SettingsError> {
        line(arguments).given(|_| None, io::empty(), nobody_there)
    }

    fn nobody_there(ssid: &str) -> Result<String, SettingsError> {
        Err(SettingsError::NoPassword(ssid.into()))
    }

    fn network(ssid: &str, psk: Option<&str>) -> Given {
        let mut given = Given::default();
        given.wifi(ssid.into(), psk.map(Into::into)).unwrap();
        given
    }

    #[test]
    fn a_passphrase_comes_from_standard_input_or_the_environment_or_a_person() {
        let expected = network("Workshop", Some(PSK));
        let in_environment = |name: &str| {
            assert_eq!(name, "ESP_OTA_WIFI_PASSWORD");
            Some(PSK.to_owned())
        };
        let nobody = |_: &str| panic!("nobody is asked");
        let named = line(&["--wifi-ssid", "Workshop"]);
        assert_eq!(named.given(in_environment, io::empty(), nobody).unwrap(), expected);
        let asked = |ssid: &str| {
            assert_eq!(ssid, "Workshop");
            Ok(PSK.to_owned())
        };
        assert_eq!(named.given(|_| Some(String::new()), io::empty(), asked).unwrap(), expected);
        let piped = line(&["--wifi-ssid", "Workshop", "--wifi-password-stdin"]);
        for input in [format!("{PSK}\n"), format!("{PSK}\r\nmore\n"), PSK.to_owned()] {
            let other = |_: &str| Some("another passphrase".to_owned());
            assert_eq!(piped.given(other, input.as_bytes(), nobody).unwrap(), expected);
        }
    }

    #[test]
    fn without_a_passphrase_and_a_terminal_the_ways_to_give_one_are_named() {
        let error = alone(&["--wifi-ssid", "Workshop"]).unwrap_err();
        assert_eq!(error.to_string(), "there is no passphrase for the network `Workshop`");
        assert_eq!(error.exit(), Exit::Usage);
        let help = error.help().unwrap();
        for way in ["ESP_OTA_WIFI_PASSWORD", "--wifi-password-stdin", "terminal", "--wifi-open"] {
            assert!(help.contains(way), "{help}");
        }
    }

    #[test]
    fn an_open_network_is_asked_for_by_name_and_never_meant_by_an_empty_passphrase() {
        let open = line(&["--wifi-ssid", "Workshop", "--wifi-open"]);
        let given = open.given(|_| Some(PSK.into()), io::empty(), nobody_there).unwrap();
        assert_eq!(given, network("Workshop", None));
        let piped = line(&["--wifi-ssid", "Workshop", "--wifi-password-stdin"]);
        let error = piped.given(|_| None, io::empty(), nobody_there).unwrap_err();
        assert!(matches!(error, SettingsError::Value(Problem::Psk)), "{error}");
        assert_eq!(error.exit(), Exit::Usage);
        assert!(error.help().unwrap().contains("--wifi-open"));
    }

    #[test]
    fn a_line_that_is_no_text_is_refused() {
        let piped = line(&["--wifi-ssid", "Workshop", "--wifi-password-stdin"]);
        let error = piped.given(|_| None, &b"\xff\xff\n"[..], nobody_there).unwrap_err();
        assert_eq!(error.exit(), Exit::Project);
        let endless = io::BufReader::new(io::repeat(b'a'));
        let error = piped.given(|_| None, endless, nobody_there).unwrap_err();
        assert!(matches!(error, SettingsError::Value(Problem::Psk)), "{error}");
    }

    #[test]
    fn nobody_is_asked_for_a_passphrase_where_something_else_is_wrong() {
        let asked = |_: &str| panic!("nobody is asked");
        let long = "a".repeat(33);
        for arguments in
            [["--wifi-ssid", long.as_str()].as_slice(), &["--wifi-ssid", "W", "--set", "a=b"]]
        {
            let error = line(arguments).given(|_| None, io::empty(), asked).unwrap_err();
            assert_eq!(error.exit(), Exit::Usage);
        }
    }

    #[test]
    fn settings_are_taken_one_by_one() {
        let mut expected = Given::default();
        expected.url("https://u.example:8443/a=b").unwrap();
        expected.channel("beta").unwrap();
        expected.poll_seconds(900).unwrap();
        let arguments = [
            "--set",
            "url=https://u.example:8443/a=b",
            "--set",
            "channel=beta",
            "--set",
            "poll_s=900",
        ];
        assert_eq!(alone(&arguments).unwrap(), expected);
        assert!(alone(&[]).unwrap().is_empty());
    }

    #[track_caller]
    fn refused(assignment: &str, message: &str, help: &str) {
        let error = alone(&["--set", assignment]).expect_err("it is refused");
        assert_eq!((error.to_string().as_str(), error.exit()), (message, Exit::Usage));
        assert!(error.help().unwrap().contains(help), "{:?}", error.help());
    }

    #[test]
    fn a_setting_that_is_none_is_refused_with_what_was_meant() {
        refused("chanel=beta", "`chanel` is no setting of a device", "did you mean `channel`?");
        refused("ssid=W", "`ssid` is no setting of a device", "`url`, `channel`, `poll_s`");
        refused(
            "wifi_ssid=W",
            "`wifi_ssid` is no setting of its own: a network needs its passphrase, too",
            "`--wifi-ssid`",
        );
        refused("channel", "a `--set` is not of the form `KEY=VALUE`", "--set channel=beta");
        refused("poll_s=soon", "`poll_s` is `soon`, and has to be a number of seconds", "correct");
        let early = format!("poll_s={}", SHORTEST_POLL - 1);
        refused(&early, "`poll_s` is 9, and has to be from 10 to 604800", "correct");
        refused(
            "url=http://u.example",
            "`url` cannot be used: it does not begin with `https://`",
            "correct",
        );
        let error = alone(&["--set", "channel=beta", "--set", "channel=beta"]).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.exit()),
            ("`channel` is set twice", Exit::Usage)
        );
    }

    #[test]
    fn a_passphrase_on_the_command_line_is_refused_and_not_repeated() {
        let error = alone(&["--set", &format!("wifi_psk={PSK}")]).unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        let help = error.help().unwrap();
        assert!(help.contains("ESP_OTA_WIFI_PASSWORD"), "{help}");
        let line = format!("{:?}", line(&["--set", &format!("wifi_psk={PSK}")]));
        for text in [error.to_string(), format!("{error:?}"), help, line] {
            assert!(!text.contains("horse"), "{text}");
        }
    }

    #[test]
    fn a_password_without_a_network_is_a_slip() {
        for arguments in [["--wifi-open"].as_slice(), &["--wifi-password-stdin"]] {
            assert!(Line::try_parse_from(["flash"].iter().chain(arguments)).is_err());
        }
        let both = ["flash", "--wifi-ssid", "W", "--wifi-open", "--wifi-password-stdin"];
        assert!(Line::try_parse_from(both).is_err());
    }
}
