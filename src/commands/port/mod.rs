//! Which serial port a command means: the one that is named, or the only board that is plugged in.

mod boards;

use super::{Context, context};
use crate::device::DeviceError;
use crate::device::serial::{Chosen, known_ports};
use crate::error::Failure;

/// The port of a command: `named`, as `--port` has it, else `ESP_OTA_PORT`, else the only board, else
/// the one that somebody at the terminal chooses.
pub(in crate::commands) fn chosen(
    context: &Context,
    named: Option<&str>,
) -> Result<Chosen, Failure> {
    let named = named.map(str::to_owned).or_else(|| context::variable("ESP_OTA_PORT"));
    match named.filter(|name| !name.is_empty()) {
        Some(name) => Ok(Chosen::named(&name)?),
        None => choose(context),
    }
}

/// The only board, or the one that somebody chooses.
fn choose(context: &Context) -> Result<Chosen, Failure> {
    let error = match Chosen::only(&boards::remembered(context)) {
        Ok(chosen) => return Ok(chosen),
        Err(error) => error,
    };
    let is_choice = matches!(error, DeviceError::ManyPorts(_) | DeviceError::UnknownPort(_));
    let Some(dialogue) = context.output.dialogue().filter(|_| is_choice) else {
        return Err(error.into());
    };
    let ports = known_ports()?;
    for (number, port) in (1usize..).zip(&ports) {
        let product = port.product.as_deref().unwrap_or("no name");
        dialogue.say(format_args!("{number}  {}  {product}", port.name));
    }
    let answer = dialogue.ask("which port?").unwrap_or_default();
    let number: Option<usize> = answer.parse().ok();
    let chosen = number
        .and_then(|number| ports.get(number.checked_sub(1)?))
        .or_else(|| ports.iter().find(|port| port.name == answer));
    match chosen {
        Some(port) => {
            let chosen = Chosen::named(&port.name)?;
            if let Some(id) = port.id.filter(|_| !port.is_board) {
                boards::remember(context, id)?;
            }
            Ok(chosen)
        }
        None => Err(error.into()),
    }
}
