//! Ctrl-C, as a question that a loop can ask. The second one ends the process, whatever it does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Runtime;

use super::{ContextError, context};

/// Whether somebody has pressed Ctrl-C since this was made.
#[derive(Debug)]
pub(in crate::commands) struct Stop {
    is_pressed: Arc<AtomicBool>,
    /// Waits for the key as long as it lives.
    _waiting: Runtime,
}

impl Stop {
    pub(in crate::commands) fn new() -> Result<Self, ContextError> {
        let runtime = context::runtime()?;
        let is_pressed = Arc::new(AtomicBool::new(false));
        // Whoever presses it again does not want to wait for a reader of the answer, or anything else.
        #[cfg(unix)]
        signal_hook::flag::register_conditional_default(
            signal_hook::consts::SIGINT,
            Arc::clone(&is_pressed),
        )
        .map_err(ContextError::Runtime)?;
        let told = Arc::clone(&is_pressed);
        runtime.spawn(async move {
            // Where keys cannot be waited for, the process ends by the system's own handler.
            if tokio::signal::ctrl_c().await.is_ok() {
                told.store(true, Ordering::Relaxed);
            }
        });
        Ok(Self { is_pressed, _waiting: runtime })
    }

    pub(in crate::commands) fn is_pressed(&self) -> bool {
        self.is_pressed.load(Ordering::Relaxed)
    }
}
