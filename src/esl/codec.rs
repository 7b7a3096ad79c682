//! Frames in and commands out of a byte stream, as `tokio_util` wants them.

use bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

use super::command::Command;
use super::frame::{Cutter, Frame, FrameError, Limits};

/// Why a connection to the switch can be read no further.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The socket itself failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What came over it is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// Reads [`Frame`]s and writes [`Command`]s; for `Framed` over a connection of either direction.
#[derive(Debug, Default)]
pub struct Codec {
    cutter: Cutter,
}

impl Codec {
    /// A codec at the start of a stream.
    pub fn new(limits: Limits) -> Self {
        Self {
            cutter: Cutter::new(limits),
        }
    }
}

impl Decoder for Codec {
    type Item = Frame;
    type Error = CodecError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        Ok(self.cutter.cut(buffer)?)
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        match self.cutter.cut(buffer)? {
            Some(frame) => Ok(Some(frame)),
            None => {
                self.cutter.end(buffer)?;
                Ok(None)
            }
        }
    }
}

impl Encoder<&Command> for Codec {
    type Error = CodecError;

    fn encode(&mut self, command: &Command, buffer: &mut BytesMut) -> Result<(), CodecError> {
        command.write_to(buffer);
        Ok(())
    }
}

impl Encoder<Command> for Codec {
    type Error = CodecError;

    fn encode(&mut self, command: Command, buffer: &mut BytesMut) -> Result<(), CodecError> {
        self.encode(&command, buffer)
    }
}
