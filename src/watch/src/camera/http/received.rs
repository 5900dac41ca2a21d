//! A camera's answer that has come already: for `fuzz`.

use super::{
    Frames, StreamFormat,
    address::{Address, User},
    answer::{Body, Head},
    described,
    login::Challenge,
    refused,
};

/// Reads an answer up to its end, as one to each request that [`MjpegStream`](super::MjpegStream) makes; returns the bytes of
/// all pictures in it.
pub(crate) fn read_answer(mut bytes: &[u8]) -> usize {
    let name = || "camera".to_owned();
    let Ok(head) = Head::read(&mut bytes, &name()) else { return 0 };
    let user = User { name: "viewer".to_owned(), password: "secret".to_owned() };
    let address =
        Address { user: Some(user.clone()), host: name(), path: "/live?channel=1".to_owned() };
    let _ = address.redirect(head.header("location").unwrap_or_default());
    if let Some(challenge) = Challenge::strongest(head.all("www-authenticate")) {
        let _ = challenge.answer(&user, &address.path);
    }
    let _ = refused(name(), head.status, true).to_string();
    let _ = described(head.header("content-type").unwrap_or_default().to_ascii_lowercase());
    let body = Body::new(bytes, head.is_chunked());
    Frames::new(body, name(), StreamFormat::Mjpeg).read_all()
}
