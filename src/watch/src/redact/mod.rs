//! Text without passwords and tokens.
//!
//! Passes, one after the other: users of addresses, path segments, values of parameters and headers, options of
//! commands. Each looks at letters alone, so that it also covers addresses that cannot be parsed, and takes a time in
//! proportion to the length of the text.

mod addresses;
mod commands;
mod names;
mod values;

use std::borrow::Cow;

use addresses::{without_secret_segments, without_user_information, without_user_of_bare_hosts};
use commands::{without_options_behind, without_secret_options};
use values::without_secret_values;

/// Stands for user and password in advice, where it is no secret.
pub(crate) const PLACEHOLDER: &str = "USER:PASSWORD@";
/// Stands for what is left out.
const REDACTED: &str = "…";

/// The text as it may be shown and logged: addresses without user and password, and without the values of parameters and
/// options that sound like secrets.
///
/// It rather leaves out too much.
///
/// ```
/// use coca_watch::redact;
///
/// assert_eq!(redact("rtsp://viewer:p@ss@10.0.0.3/live?ch=1"), "rtsp://10.0.0.3/live?ch=1");
/// assert_eq!(redact("http://cam/video?user=a&pwd=b"), "http://cam/video?user=a&pwd=…");
/// assert_eq!(redact("http://cam/token/3f9a/live"), "http://cam/token/…/live");
/// assert_eq!(redact("cmd:curl -u viewer:pass URL"), "cmd:curl -u … URL");
/// ```
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for redact in [
        without_user_information,
        without_user_of_bare_hosts,
        without_secret_segments,
        without_secret_values,
        without_secret_options,
    ] {
        if let Some(redacted) = redact(&text) {
            text = Cow::Owned(redacted);
        }
    }
    text
}

/// As [`redact`], for a text that is a command.
pub(crate) fn redact_command(command: &str) -> String {
    let redacted = redact(command);
    without_options_behind(&redacted, 0).unwrap_or_else(|| redacted.into_owned())
}

/// Whether an address holds a user.
pub(crate) fn has_user(address: &str) -> bool {
    without_user_information(address).is_some()
}

/// Whether a word ends here: blanks, quotation marks and whatever no address holds.
fn ends_word(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character, '"' | '\'' | '`' | '<' | '>' | '‘' | '’' | '“' | '”')
}

fn word(text: &str) -> &str {
    &text[..text.find(ends_word).unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_without_secrets_stay_as_they_are() {
        for text in [
            "",
            "http://10.0.0.3:8080/stream?fps=5",
            "http://10.0.0.3/a@b",
            "http://[::1]:81/",
            "http://cam: not a source",
            "udp://@239.0.0.1:1234",
            "yuv420:640x480:cmd:rpicam-vid -t 0 --codec yuv420 -o -",
            "cat=notify-send 'Somebody is here'",
            "cat.jpg: not a picture: the file is empty",
            "dir:photos@home?fps=2: no picture",
            "/photos/12:30@2x.jpg: not a picture",
            "expected http://[USER:PASSWORD@]HOST[:PORT]/PATH",
            "tokyo-1.jpg: not a picture: the file is empty",
            "--token: expected a secret, found none",
            "invalid value 'x' for '--token': expected a secret",
            "cmd:ffmpeg -pix_fmt yuv420p -keyint_min 30 -i in.mkv -",
            "cmd:curl -sSk --max-time 5 http://cam/live",
            "http://cam/live/token",
            "http://token/live",
            "http://cam/tokyo/live: 404 Not Found",
            "/srv/token/cat.jpg: not a picture",
            "dir:/srv/password/cats?fps=2",
            "file:///srv/token/cat.jpg",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn no_way_of_writing_a_password_shows_it() {
        for text in [
            "http://u:hush@cam/",
            "http://hush@cam/",
            "rtsp://u:hush@cam:554/live",
            "HTTP://u:p@hush@cam/",
            "http://u:hu/hush@cam/",
            "http://u:?hush@cam/",
            "http://u:a#hush@cam/x",
            "http://u:a hush@cam/",
            "'http://u:a'hush@cam/'",
            "http://u:hush",
            "http://u:1/hush@cam",
            "http://cam/?pwd=hush",
            "http://cam/?a=1&loginpas=hush&b=2",
            "http://cam/v.cgi?PassWord=hush#x",
            "web:8080?token=hush",
            "--token=hush",
            "cmd:curl -u u:hush http://cam",
            "cmd:curl --user  u:hush http://cam",
            "cmd:ffmpeg -i 'rtsp://u:hush@cam/' -",
            "cmd:play --password hush -",
            "admin:hush@10.0.0.3/stream",
            "web:admin:hush@127.0.0.1:8080",
            "no such file: admin:hu/sh-hush@cam",
            "//admin:hush@cam/",
            "http:/admin:hush@cam/",
            "http//admin:hush@cam/",
            "http:admin:hush@cam",
            "http://cam/?u=admin&p=hush",
            "http://cam/?access_key=hush&session_id=hush&X-Amz-Signature=hush&sid=hush",
            "cmd:curl -uu:hush http://cam",
            "cmd:curl --user=u:hush http://cam",
            "cmd:curl -U u:hush --proxy-user u:hush http://cam",
            "cmd:curl -H 'X-Auth-Token: hush' http://cam",
            "cmd:curl --oauth2-bearer hush http://cam",
            "cmd:curl -d {\"password\":\"hush\"} http://cam",
            "cmd:curl -d {\"password\": \"hush\"} http://cam",
            "cmd:gst-launch-1.0 rtspsrc location=rtsp://cam user-pw=hush",
            "cat=mosquitto_pub --on-label -u u -P hush -m cat",
            "cmd:play --password='hush hush' -",
            "cmd:curl -H 'Authorization: Bearer hush' http://cam",
            "invalid value 'http://u:hush@cam' for '--display <D>': no",
            "invalid value 'curl --password hush 'x' for '--on-label <LABEL=COMMAND>': no",
            "http://cam/token/hush/live",
            "rtsp://cam/user/admin/password/hush",
            "rtsp://u:p@cam/access-token/hush: 404",
            "http://proxy/?to=http://cam/token/hush",
            "cmd:play http://cam/api_key/hush#x",
            "cmd:sshpass -phush ssh cam",
            "cmd:/usr/bin/sshpass -vp hush ssh cam",
            "cmd:sshpass -p'hush hush' ssh cam",
            "cmd:SSHPASS=hush sshpass -e ssh cam",
            "cmd:curl -E cert:hush https://cam",
            "cmd:curl -Ecert:hush https://cam",
            "cmd:curl --cert cert:hush https://cam",
            "cmd:curl --proxy-cert cert:hush https://cam",
            "cmd:curl -Uu:hush -x proxy https://cam",
            "cmd:curl -sSku u:hush https://cam",
            "cmd:curl -sSkuu:hush https://cam",
            "cmd:sh -c 'curl -su \"u:hush hush\" http://cam'",
            "cmd:curl\t--pass\thush https://cam",
            "cmd:curl --pass 'hush hush' https://cam",
            "cmd:curl --tlspassword hush --proxy-tlspassword hush https://cam",
            "cmd:curl -b sid=hush --cookie sid=hush http://cam",
            "cmd:curl -H 'Cookie: sid=hush' -H 'Proxy-Authorization: Basic hush' http://cam",
            "cmd:curl -d \"{\\\"password\\\":\\\"hush\\\"}\" http://cam",
            "cmd:curl --aws-sigv4 aws:amz -u u:hush http://cam",
            "cmd:curl --ftp-account hush ftp://cam",
            "cmd:wget --user=u --password=hush --http-password=hush -O - http://cam",
            "cmd:wget --header='X-Auth-Token: hush' http://cam",
            "cmd:ffmpeg -headers 'Authorization: Basic hush' -i http://cam -f mjpeg -",
            "cmd:ffmpeg -cookies 'sid=hush; path=/' -i http://cam -f mjpeg -",
            "cmd:ffmpeg -passphrase hush -i srt://cam -f mjpeg -",
            "cmd:ffmpeg -i srt://cam?passphrase=hush -f mjpeg -",
            "cmd:ffmpeg -decryption_key hush -cryptokey hush -i in.ts -f mjpeg -",
            "cmd:ffmpeg -srtp_in_params hush -i rtp://cam -f mjpeg -",
            "cmd:gst-launch-1.0 souphttpsrc location=http://cam user-id=u user-pw=hush proxy-pw=hush",
            "cmd:gst-launch-1.0 souphttpsrc extra-headers=\"h,Authorization=(string)\\\"Basic hush\\\"\"",
            "cmd:gst-launch-1.0 souphttpsrc cookies=\"hush\"",
            "cmd:gst-launch-1.0 udpsrc caps=\"application/x-srtp,srtp-key=(buffer)hush\"",
            "cmd:cvlc --rtsp-user=u --rtsp-pwd=hush rtsp://cam",
            "cmd:cvlc rtsp://cam :rtsp-pwd=hush --sout-http-pwd=hush",
            "cmd:openssl s_client -passin pass:hush -connect cam:443",
            "cmd:openssl enc -d -k hush -in a",
            "cmd:openssl enc -d -K hush -iv 0 -in a",
            "cmd:openssl dgst -hmac hush -macopt key:hush -in a",
            "cat=mosquitto_pub --on-label --pw hush --psk hush -m cat",
            "cat=mosquitto_pub --on-label -L mqtt://u:hush@hub/cat -m cat",
        ] {
            let shown = redact(text);
            assert!(!shown.contains("hush"), "{text}: {shown}");
        }
    }

    #[test]
    fn a_command_is_shown_without_the_words_behind_secret_options() {
        let command = "cat=curl -u u:hush --password hush http://u:hush@cam/ -o out";
        assert_eq!(redact_command(command), "cat=curl -u … --password … http://cam/ -o out");
    }

    #[test]
    fn what_is_no_secret_stays_beside_one() {
        assert_eq!(
            redact("http://cam/?token=hush: 404 Not Found"),
            "http://cam/?token=…: 404 Not Found"
        );
        assert_eq!(
            redact("cmd:ffmpeg -i rtsp://u:p@cam/live?x=1 -f mjpeg -: ended with 1"),
            "cmd:ffmpeg -i rtsp://cam/live?x=1 -f mjpeg -: ended with 1"
        );
        for (text, shown) in [
            ("http://cam/token/hush/live: 404", "http://cam/token/…/live: 404"),
            ("http://cam/token/hush: 404 Not Found", "http://cam/token/…: 404 Not Found"),
            (
                "cmd:sshpass -phush ssh -p2222 pi@cam rpicam-vid",
                "cmd:sshpass -p… ssh -p2222 pi@cam rpicam-vid",
            ),
            ("cmd:curl -sSku 'u:hush hush' http://cam", "cmd:curl -sSku … http://cam"),
            ("cmd:openssl s_client -passin pass:hush -k", "cmd:openssl s_client -passin … -k"),
        ] {
            assert_eq!(redact(text), shown);
        }
    }

    #[test]
    fn a_megabyte_of_any_kind_takes_no_more_than_its_length() {
        for piece in [
            "a://",
            "://[",
            "://u:x?",
            "://u:x/",
            "://u: ",
            "?://",
            "?x://a/token/b",
            "a:b",
            "a:b@ ",
            "pwd=",
            "pwd= ",
            "pwd=  ",
            "pwd=(&",
            "pwd=\\",
            "cookie:  ",
            "x-token: ",
            "\"pwd\":  ",
            "'pwd': ",
            "cmd:-u '",
            "cmd: --password ",
            " ",
        ] {
            let text = format!("cmd:{}@", piece.repeat((1 << 20) / piece.len()));
            assert!(redact(&text).len() <= 4 * text.len());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_redacted(text in "([a-z]|://|@|:|/|=|\\?|&| |'|\"|pwd|cmd:|-u |é|‘){0,30}") {
            let shown = redact(&text).into_owned();
            prop_assert!(shown.len() <= text.len() + 3 * text.len());
        }
    }
}
