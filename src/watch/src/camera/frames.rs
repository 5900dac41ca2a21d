//! A stream of bytes, cut into frames.

use std::io;

use coca_vision::{PixelFormat, YuvMatrix};

use super::{
    Error, Frame, Read, StreamFormat,
    mjpeg::{MjpegReader, Next},
};

/// Cuts a stream of bytes into frames.
pub(super) struct Frames<R> {
    stream: R,
    name: String,
    format: StreamFormat,
    mjpeg: MjpegReader,
}

impl<R: io::Read> Frames<R> {
    /// Frames of `format` from `stream`; `name` is for messages.
    pub(super) fn new(stream: R, name: String, format: StreamFormat) -> Self {
        Self { stream, name, format, mjpeg: MjpegReader::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The next frame, stamped when the last of it has come.
    ///
    /// A JPEG that the end of the stream cuts off is [`Read::Damaged`]: it says nothing about the frames before it. A raw
    /// frame that is cut off is an error, as its size is probably not the one that was stated.
    pub(super) fn read(&mut self, frame: &mut Frame) -> Result<Read, Error> {
        let read = match self.format {
            StreamFormat::Mjpeg => {
                (frame.format, frame.size) = (PixelFormat::Mjpeg, (0, 0));
                let next = self.mjpeg.next(&mut self.stream, &mut frame.bytes);
                match next.map_err(|error| Error::io(&self.name)(error))? {
                    Next::File => Read::Frame,
                    Next::CutOff => Read::Damaged,
                    Next::End => Read::End,
                }
            }
            StreamFormat::Raw(raw) => {
                let (width, height) = raw.size();
                (frame.format, frame.size) = (raw.pixels(), raw.size());
                frame.yuv_matrix = YuvMatrix::of_video(width, height);
                let expected = raw.frame_bytes();
                frame.bytes.resize(expected, 0);
                let found = read_fully(&mut self.stream, &mut frame.bytes);
                match found.map_err(|error| Error::io(&self.name)(error))? {
                    0 => Read::End,
                    found if found < expected => {
                        let source_name = self.name.clone();
                        return Err(Error::CutOff { source_name, expected, found });
                    }
                    _ => Read::Frame,
                }
            }
        };
        frame.stamp();
        Ok(read)
    }

    /// Reads up to the end or an error; returns the bytes of all frames.
    pub(super) fn read_all(mut self) -> usize {
        let (mut frame, mut bytes) = (Frame::default(), 0);
        loop {
            match self.read(&mut frame) {
                Ok(Read::Frame) => bytes += frame.bytes.len(),
                Ok(Read::Damaged) => {}
                Ok(Read::End) | Err(_) => return bytes,
            }
        }
    }
}

/// Reads a stream of JPEG files that has come already; returns the bytes of all: for `fuzz`.
pub(crate) fn read_stream(stream: &[u8]) -> usize {
    Frames::new(stream, "stream".to_owned(), StreamFormat::Mjpeg).read_all()
}

/// Fills `out` as far as the stream goes; returns the number of bytes.
fn read_fully(stream: &mut impl io::Read, out: &mut [u8]) -> io::Result<usize> {
    let mut found = 0;
    while found < out.len() {
        match stream.read(&mut out[found..]) {
            Ok(0) => break,
            Ok(count) => found += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}
