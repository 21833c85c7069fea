//! Relations between knobs: pairs of values that are fine alone and wrong together.

use super::error::ConfigError;
use super::knobs::{Config, KNOBS};
use super::setting::Authentication;

impl Config {
    /// The relations that hang on the number of cores, for when `server.cores` has become a number.
    ///
    /// # Errors
    /// When the ports of the cores run into another port or beyond the last one.
    pub fn check_cores(&self, cores: u32) -> Result<(), ConfigError> {
        let native = u64::from(self.listen.native_port);
        if native == 0 {
            return Ok(());
        }
        let last = native + u64::from(cores);
        if last > u64::from(u16::MAX) {
            let rule =
                format!("{cores} cores need the ports {native} to {last}; choose a lower native_port or 0");
            return Err(self.conflict("listen.native_port", "server.cores", rule));
        }
        let others = [("admin_port", self.listen.admin_port), ("http_port", self.listen.http_port)];
        for (name, port) in others {
            if port != 0 && (native..=last).contains(&u64::from(port)) {
                let rule =
                    format!("{cores} cores take the ports {native} to {last}; choose an {name} outside them");
                return Err(self.conflict(&format!("listen.{name}"), "listen.native_port", rule));
            }
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
    // A request is admitted with the room for what it is decoded into.
    if limits.inflight_bytes < config.http.body_bytes.saturating_mul(2) {
        let rule = "a body and what it is decoded into must fit; raise inflight_bytes or lower body_bytes";
        return Err(config.conflict("limits.inflight_bytes", "http.body_bytes", rule.to_owned()));
    }
    if config.http.tls_certificate.is_some() != config.http.tls_key.is_some() {
        let rule = "TLS needs both";
        return Err(config.conflict("http.tls_certificate", "http.tls_key", rule.to_owned()));
    }
    let listen = &config.listen;
    if listen.http_port != 0 && listen.http_port == listen.admin_port {
        let rule = "each needs a port of its own";
        return Err(config.conflict("listen.http_port", "listen.admin_port", rule.to_owned()));
    }
    if config.aws.authentication == Authentication::Off && !listen.host.is_loopback() {
        let rule = "whoever reaches the port could do everything; leave signatures on, listen on a loopback address, \
             or say off-anywhere if that is meant";
        return Err(config.conflict("aws.authentication", "listen.host", rule.to_owned()));
    }
    config.check_cores(config.server.cores.unwrap_or(1))
}
