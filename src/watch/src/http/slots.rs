//! A bound on how many of something exist at a time, in all and for each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A counting semaphore that never waits. One address gets no more than half of its slots, so that others find some.
#[derive(Debug, Clone)]
pub(crate) struct Slots {
    taken: Arc<Taken>,
    max: usize,
}

/// Slots by address; those of an address that has none are not kept.
#[derive(Debug, Default)]
struct Taken(Mutex<HashMap<IpAddr, usize>>);

/// One slot of [`Slots`], given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    taken: Arc<Taken>,
    address: IpAddr,
}

impl Slots {
    /// `max` free slots.
    pub(crate) fn new(max: usize) -> Self {
        Self { taken: Arc::default(), max }
    }

    /// Takes a slot for a client at `address`, if one is free.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Slot> {
        let address = network_of(address);
        let mut taken = self.taken.lock();
        let own = taken.get(&address).copied().unwrap_or_default();
        let is_free = taken.values().sum::<usize>() < self.max && own < self.max.div_ceil(2);
        if !is_free {
            return None;
        }
        taken.insert(address, own + 1);
        drop(taken);
        Some(Slot { taken: Arc::clone(&self.taken), address })
    }

    /// The number of slots that are taken.
    pub(crate) fn taken(&self) -> usize {
        self.taken.lock().values().sum()
    }
}

impl Taken {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One client may have all addresses of an IPv6 network.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_dropped_slot_is_free_again() {
        let slots = Slots::new(2);
        let (a, b) = (address("10.0.0.1"), address("10.0.0.2"));
        let first = slots.take(a).unwrap();
        let _second = slots.take(b).unwrap();
        assert!(slots.take(address("10.0.0.3")).is_none());
        drop(first);
        assert_eq!(slots.taken(), 1);
        assert!(slots.take(a).is_some());
        assert_eq!(slots.taken.lock().len(), 1);
    }

    #[test]
    fn one_address_gets_no_more_than_half() {
        let slots = Slots::new(8);
        let network = ["fd00::1", "fd00::2:1", "fd00::ffff"].map(address);
        let held: Vec<_> = (0..8).filter_map(|n| slots.take(network[n % 3])).collect();
        assert_eq!(held.len(), 4);
        assert!(slots.take(address("::ffff:10.0.0.1")).is_some());
    }
}
