//! Connections that have not been admitted yet.

use std::{
    collections::VecDeque,
    io,
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A bounded number of connections that have not sent a request that is admitted. A new one displaces the one that
/// waits longest: whoever sends a request at once gets through, however many others send none.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    line: Arc<Line>,
    max: usize,
}

#[derive(Debug, Default)]
struct Line(Mutex<Connections>);

#[derive(Debug, Default)]
struct Connections {
    /// The longest waiting first.
    waiting: VecDeque<(u64, TcpStream)>,
    next: u64,
}

/// A connection's place among those that wait, given up when dropped.
#[derive(Debug)]
pub(super) struct Place {
    line: Arc<Line>,
    number: u64,
}

impl Waiting {
    pub(super) fn new(max: usize) -> Self {
        Self { line: Arc::default(), max: max.max(1) }
    }

    /// Lets a connection wait, and cuts the one that waits longest if there are too many.
    pub(super) fn enter(&self, connection: &TcpStream) -> io::Result<Place> {
        let connection = connection.try_clone()?;
        let mut line = self.line.lock();
        let number = line.next;
        line.next += 1;
        line.waiting.push_back((number, connection));
        let displaced = if line.waiting.len() > self.max { line.waiting.pop_front() } else { None };
        drop(line);
        if let Some((_, displaced)) = displaced {
            // Its peer may have closed it already.
            let _ = displaced.shutdown(Shutdown::Both);
        }
        Ok(Place { line: Arc::clone(&self.line), number })
    }
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.line.lock().waiting.retain(|(number, _)| *number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpListener};

    use super::*;

    #[test]
    fn a_new_connection_displaces_the_one_that_waits_longest() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let connect = || {
            let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            (ours, listener.accept().unwrap().0)
        };
        let waiting = Waiting::new(2);
        let (mut first, first_here) = connect();
        let (_second, second_here) = connect();
        let (_third, third_here) = connect();
        let _first = waiting.enter(&first_here).unwrap();
        let second = waiting.enter(&second_here).unwrap();
        drop(second);
        let _third = waiting.enter(&third_here).unwrap();
        assert_eq!(waiting.line.lock().waiting.len(), 2);
        let (_fourth, fourth_here) = connect();
        let _fourth = waiting.enter(&fourth_here).unwrap();
        assert_eq!(first.read(&mut [0; 1]).unwrap(), 0, "the first is cut");
        assert_eq!(waiting.line.lock().waiting.len(), 2);
    }
}
