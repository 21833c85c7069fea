//! Relations between knobs: pairs of values that are fine alone and wrong together.

use super::error::ConfigError;
use super::knobs::{Config, KNOBS};

impl Config {
    /// The relations that hang on the number of cores, for when `server.cores` has become a number.
    ///
    /// # Errors
    /// When the ports of the cores run into the admin port or beyond the last port.
    pub fn check_cores(&self, cores: u32) -> Result<(), ConfigError> {
        let (native, admin) = (u64::from(self.listen.native_port), u64::from(self.listen.admin_port));
        if native == 0 {
            return Ok(());
        }
        let last = native + u64::from(cores);
        if last > u64::from(u16::MAX) {
            let rule =
                format!("{cores} cores need the ports {native} to {last}; choose a lower native_port or 0");
            return Err(self.conflict("listen.native_port", "server.cores", rule));
        }
        if admin != 0 && (native..=last).contains(&admin) {
            let rule =
                format!("{cores} cores take the ports {native} to {last}; choose an admin_port outside them");
            return Err(self.conflict("listen.admin_port", "listen.native_port", rule));
        }
        Ok(())
    }

    fn conflict(&self, key: &str, other_key: &str, rule: String) -> ConfigError {
        ConfigError::Conflict {
            key: key.to_owned(),
            value: self.shown(key),
            other_key: other_key.to_owned(),
            other_value: self.shown(other_key),
            rule,
        }
    }

    /// A knob's value as one would write it.
    fn shown(&self, key: &str) -> String {
        let pair = KNOBS.iter().zip(self.to_values()).find(|(knob, _)| knob.key() == key);
        pair.map_or_else(String::new, |(knob, value)| knob.shape.show(&value))
    }
}

/// Checks the relations that hold whatever the machine.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let limits = &config.limits;
    if limits.inflight_bytes < limits.frame_bytes.saturating_mul(2) {
        let rule =
            "a request and an answer of one frame each must fit; raise inflight_bytes or lower frame_bytes";
        return Err(config.conflict("limits.inflight_bytes", "limits.frame_bytes", rule.to_owned()));
    }
    config.check_cores(config.server.cores.unwrap_or(1))
}
