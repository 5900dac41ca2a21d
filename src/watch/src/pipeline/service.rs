//! Telling systemd that the service is ready, alive and ending: `sd_notify` on its datagram socket.

use std::{
    env,
    os::unix::net::{SocketAddr, UnixDatagram},
    time::{Duration, Instant},
};

/// The service manager's socket. Without one, everything here does nothing.
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that the service is alive.
    period: Option<Duration>,
    told: Option<Instant>,
}

impl ServiceManager {
    /// As the environment says: `NOTIFY_SOCKET` and `WATCHDOG_USEC`.
    #[must_use]
    pub fn from_environment() -> Self {
        let watchdog = env::var("WATCHDOG_USEC").ok().and_then(|text| text.parse().ok());
        Self::new(env::var("NOTIFY_SOCKET").ok().as_deref(), watchdog.map(Duration::from_micros))
    }

    fn new(address: Option<&str>, watchdog: Option<Duration>) -> Self {
        let address = address.and_then(socket_address);
        let socket = address.and_then(|address| {
            let socket = UnixDatagram::unbound().ok()?;
            // A full queue must not stop the labels.
            socket.set_nonblocking(true).ok()?;
            Some((socket, address))
        });
        Self { socket, period: watchdog.map(|timeout| timeout / 3), told: None }
    }

    /// The service has started.
    pub fn ready(&mut self) {
        self.tell("READY=1");
    }

    /// The service is alive; told no more often than needed.
    pub fn alive(&mut self) {
        let Some(period) = self.period else { return };
        if self.told.is_none_or(|told| told.elapsed() >= period) {
            self.told = Some(Instant::now());
            self.tell("WATCHDOG=1");
        }
    }

    /// The service is ending.
    pub fn stopping(&mut self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, state: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(state.as_bytes(), address) {
            log::debug!("NOTIFY_SOCKET: {error}");
        }
    }
}

fn socket_address(text: &str) -> Option<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = text.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name).ok();
    }
    SocketAddr::from_pathname(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_of_start_life_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let mut manager = ServiceManager::new(path.to_str(), Some(Duration::from_secs(60)));
        manager.ready();
        manager.alive();
        manager.alive();
        manager.stopping();
        let mut heard = Vec::new();
        systemd.set_nonblocking(true).unwrap();
        let mut bytes = [0; 64];
        while let Ok(count) = systemd.recv(&mut bytes) {
            heard.push(String::from_utf8(bytes[..count].to_vec()).unwrap());
        }
        assert_eq!(heard, ["READY=1", "WATCHDOG=1", "STOPPING=1"]);
    }

    #[test]
    fn without_systemd_nothing_happens() {
        let mut manager = ServiceManager::new(None, None);
        manager.ready();
        manager.alive();
        ServiceManager::new(Some("/no/such/socket"), None).ready();
    }
}
