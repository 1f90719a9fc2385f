//! What the project is to be: from the command line, from what is there, and from whom can be
//! asked.

use std::path::Path;

use super::cargo_project::CargoProject;
use super::{Init, InitError, roots};
use crate::chip::Chip;
use crate::commands::{Context, ContextError, ca};
use crate::config::{self, Name, Project};
use crate::error::Failure;
use crate::flash_size::FlashSize;
use crate::output::Dialogue;
use crate::trust::PinnedRoot;

/// The chip of a new project where nothing is said.
const DEFAULT_CHIP: Chip = Chip::Esp32c3;

/// What a project is made of.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) chip: Chip,
    pub(super) flash_size: FlashSize,
    pub(super) product: Name,
    pub(super) url: Option<String>,
    pub(super) roots: Vec<PinnedRoot>,
    pub(super) has_filesystem: bool,
}

impl Plan {
    /// For a project without settings: what is missing is asked for, else it has its default.
    pub(super) fn new(
        asked: &Init,
        cargo: Option<&CargoProject>,
        dialogue: Option<Dialogue>,
        context: &Context,
    ) -> Result<Self, Failure> {
        let chip = chip(asked, cargo, dialogue)?;
        refuse_without_wifi(chip, cargo)?;
        let product = product(asked, cargo, dialogue)?;
        let url = match (&asked.url, dialogue) {
            (None, Some(dialogue)) => ask_url(dialogue)?,
            (url, _) => url.clone(),
        };
        let roots = roots::gather(asked, context, dialogue)?;
        Ok(Self {
            chip,
            flash_size: asked.flash_size.unwrap_or(FlashSize::DEFAULT),
            product,
            url,
            roots,
            has_filesystem: !asked.no_filesystem,
        })
    }

    /// For a project that has its settings: they hold, and the command line may not say otherwise.
    pub(super) fn known(
        asked: &Init,
        cargo: &CargoProject,
        project: &Project,
        context: &Context,
    ) -> Result<Self, Failure> {
        let differs = |said_by: &str, said: String, found: String| InitError::Differs {
            said_by: said_by.to_owned(),
            said,
            file: project.file.clone(),
            found,
        };
        let url = project.url.value.clone();
        let pairs = [
            ("`--chip`", asked.chip.map(|it| it.to_string()), project.chip.value.to_string()),
            (
                "`--flash-size`",
                asked.flash_size.map(|it| it.to_string()),
                project.flash_size.value.to_string(),
            ),
            (
                "`--product`",
                asked.product.as_ref().map(ToString::to_string),
                project.product.value.to_string(),
            ),
            ("`--url`", asked.url.clone(), url.clone().unwrap_or_else(|| "(none)".to_owned())),
        ];
        for (option, said, found) in pairs {
            if let Some(said) = said.filter(|said| *said != found) {
                return Err(differs(option, said, found).into());
            }
        }
        if let Some(chip) = cargo.chip()?.filter(|chip| *chip != project.chip.value) {
            let file = format!("`{}`", cargo.file.display());
            return Err(differs(&file, chip.to_string(), project.chip.value.to_string()).into());
        }
        refuse_without_wifi(project.chip.value, Some(cargo))?;
        let roots = ca::project_roots(project, context.now())?;
        if let Some(source) = &asked.root_ca
            && roots::read(source, asked, context)?.iter().any(|root| !roots.contains(root))
        {
            let (asked, file) = (source.clone(), project.file.clone());
            return Err(InitError::OtherRoots { asked, file }.into());
        }
        Ok(Self {
            chip: project.chip.value,
            flash_size: project.flash_size.value,
            product: project.product.value.clone(),
            url,
            roots,
            has_filesystem: !asked.no_filesystem,
        })
    }
}

fn refuse_without_wifi(chip: Chip, cargo: Option<&CargoProject>) -> Result<(), InitError> {
    match cargo {
        _ if chip.has_wifi() => Ok(()),
        None => Err(InitError::NoWifi(chip)),
        Some(cargo) => Err(InitError::NoWifiHere { file: cargo.file.clone(), chip }),
    }
}

fn chip(
    asked: &Init,
    cargo: Option<&CargoProject>,
    dialogue: Option<Dialogue>,
) -> Result<Chip, InitError> {
    let found = cargo.map(CargoProject::chip).transpose()?.flatten();
    match (asked.chip, found, cargo, dialogue) {
        (Some(said), Some(found), Some(cargo), _) if said != found => Err(InitError::Differs {
            said_by: "`--chip`".to_owned(),
            said: said.to_string(),
            file: cargo.file.clone(),
            found: found.to_string(),
        }),
        (Some(chip), ..) | (None, Some(chip), ..) => Ok(chip),
        (None, None, cargo, Some(dialogue)) => {
            ask_chip(dialogue, cargo.is_none().then_some(DEFAULT_CHIP))
        }
        (None, None, Some(cargo), None) => Err(InitError::NoChip(cargo.file.clone())),
        (None, None, None, None) => Ok(DEFAULT_CHIP),
    }
}

fn product(
    asked: &Init,
    cargo: Option<&CargoProject>,
    dialogue: Option<Dialogue>,
) -> Result<Name, Failure> {
    if let Some(product) = &asked.product {
        return Ok(product.clone());
    }
    let package = cargo.and_then(|cargo| cargo.name()?.parse().ok());
    let folder = folder_name(&asked.dir)?;
    let default = package.or_else(|| folder.parse().ok());
    match (dialogue, default) {
        (Some(dialogue), default) => Ok(ask_product(dialogue, default)?),
        (None, Some(product)) => Ok(product),
        (None, None) => Err(InitError::NoProduct(folder).into()),
    }
}

fn folder_name(folder: &Path) -> Result<String, ContextError> {
    let absolute = std::path::absolute(folder)
        .map_err(|source| ContextError::Input { file: folder.to_owned(), source })?;
    let name = absolute.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(name.unwrap_or_default())
}

/// Asks until the answer is one. Where nothing is typed, what is offered holds, if anything is.
pub(super) fn ask<T>(
    dialogue: Dialogue,
    question: &str,
    offer: Option<(&str, T)>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, InitError> {
    let offered = offer.as_ref().map(|(offered, _)| format!(" [{offered}]")).unwrap_or_default();
    loop {
        let answer = dialogue.ask(format_args!("{question}{offered}"));
        let answer = answer.ok_or(InitError::Unanswered)?;
        if answer.is_empty()
            && let Some((_, default)) = offer
        {
            return Ok(default);
        }
        match parse(&answer) {
            Ok(value) => return Ok(value),
            Err(why) => dialogue.say(format_args!("  {why}")),
        }
    }
}

fn ask_chip(dialogue: Dialogue, default: Option<Chip>) -> Result<Chip, InitError> {
    let known: Vec<&str> =
        Chip::ALL.iter().filter(|chip| chip.has_wifi()).map(|chip| chip.name()).collect();
    let parse = |text: &str| {
        let chip: Chip =
            text.parse().map_err(|error| format!("{error}; there is {}", known.join(", ")))?;
        refuse_without_wifi(chip, None).map_err(|error| error.to_string()).map(|()| chip)
    };
    ask(dialogue, "Which chip?", default.map(|chip| (chip.name(), chip)), parse)
}

fn ask_product(dialogue: Dialogue, default: Option<Name>) -> Result<Name, InitError> {
    let offered = default.as_ref().map(ToString::to_string).unwrap_or_default();
    let offer = default.map(|name| (offered.as_str(), name));
    ask(dialogue, "Name of the product?", offer, |text| {
        text.parse().map_err(|error: config::NameError| error.to_string())
    })
}

fn ask_url(dialogue: Dialogue) -> Result<Option<String>, InitError> {
    let question = "URL that devices will read releases from?";
    ask(dialogue, question, Some(("later", None)), |text| config::https_url(text).map(Some))
}
