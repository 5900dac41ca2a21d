//! Notifications to systemd that the service is ready, alive and stopping: the protocol of `sd_notify`.

use std::{
    env, io,
    os::unix::net::{SocketAddr, UnixDatagram},
    time::{Duration, Instant},
};

/// The service manager's socket. Without one all methods do nothing.
///
/// ```
/// use coca_watch::pipeline::ServiceManager;
///
/// let mut service = ServiceManager::from_environment();
/// service.ready();
/// ```
pub struct ServiceManager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// Time between two signs of life, if the manager's watchdog wants any.
    period: Option<Duration>,
    told: Option<Instant>,
}

impl ServiceManager {
    /// The manager that the environment variables `NOTIFY_SOCKET` and `WATCHDOG_USEC` name. A value that cannot be used
    /// is logged.
    #[must_use]
    pub fn from_environment() -> Self {
        let text = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self::new(text("NOTIFY_SOCKET").as_deref(), text("WATCHDOG_USEC").as_deref())
    }

    fn new(socket: Option<&str>, watchdog_microseconds: Option<&str>) -> Self {
        let socket = socket.and_then(|address| {
            let opened = open(address);
            opened.inspect_err(|error| log::warn!("NOTIFY_SOCKET {address}: {error}")).ok()
        });
        let timeout = watchdog_microseconds.and_then(|text| {
            let parsed =
                text.parse().inspect_err(|error| log::warn!("WATCHDOG_USEC {text}: {error}"));
            parsed.ok().map(Duration::from_micros)
        });
        Self { socket, period: timeout.map(|timeout| timeout / 3), told: None }
    }

    /// Tells that the service has started.
    pub fn ready(&mut self) {
        self.tell("READY=1");
    }

    /// Tells that the service is alive, no more often than needed.
    pub fn alive(&mut self) {
        let Some(period) = self.period else { return };
        if self.told.is_none_or(|told| told.elapsed() >= period) {
            self.told = Some(Instant::now());
            self.tell("WATCHDOG=1");
        }
    }

    /// Tells that the service is stopping.
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

fn open(address: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = socket_address(address)?;
    let socket = UnixDatagram::unbound()?;
    // A full queue must not stop the labels.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

fn socket_address(text: &str) -> io::Result<SocketAddr> {
    #[cfg(target_os = "linux")]
    if let Some(name) = text.strip_prefix('@') {
        use std::os::linux::net::SocketAddrExt;
        return SocketAddr::from_abstract_name(name);
    }
    SocketAddr::from_pathname(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_of_start_life_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let systemd = UnixDatagram::bind(&path).unwrap();
        let mut manager = ServiceManager::new(path.to_str(), Some("60000000"));
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
        ServiceManager::new(Some("/no/such/socket"), Some("soon")).ready();
    }
}
