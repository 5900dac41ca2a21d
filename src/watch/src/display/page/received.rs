//! Requests that have come already: for `fuzz`.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, mpsc::channel},
};

use super::{WebSpec, live::Live, routes::Routes};
use crate::http::{Handler, Reading, Slots, read_request};

/// Answers the requests of a connection to a page without a token; returns how many there were.
pub(crate) fn answer_requests(mut bytes: &[u8]) -> usize {
    let address = IpAddr::from(Ipv4Addr::LOCALHOST);
    let spec = WebSpec { address: (address, 0).into(), token: None, host: None, labels_act: false };
    let (sender, _receiver) = channel();
    let routes = Routes::new(Arc::new(Live::default()), &spec, sender, Slots::new(2));
    let (mut buffer, mut count) = (Vec::new(), 0);
    while let Reading::Request(request) = read_request(&mut bytes, &mut buffer) {
        count += 1;
        let _ = request.query("token");
        if routes.admit(&request).is_ok() {
            drop(routes.answer(&request, address));
        }
        if !request.keep_alive {
            break;
        }
    }
    count
}
