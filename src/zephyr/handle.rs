// SPDX-License-Identifier: Apache-2.0

use core::mem::ManuallyDrop;
use core::time::Duration;

use embedded_io::{ErrorType, Read};

use super::error::Error;
use super::tcp::TcpStream;
use crate::split::{Handle, SplitTransport};
use crate::transport::Transport;

/// Reads a [`TcpStream`] that other threads write to. It does not own the descriptor.
#[derive(Debug)]
pub struct TcpHandle(ManuallyDrop<TcpStream>);

impl SplitTransport for TcpStream {
    type Handle = TcpHandle;

    /// Never fails.
    fn handle(&self) -> Result<TcpHandle, Error> {
        // Not dropped, it closes nothing.
        Ok(TcpHandle(ManuallyDrop::new(Self::from_fd(self.fd()))))
    }
}

impl ErrorType for TcpHandle {
    type Error = Error;
}

impl Read for TcpHandle {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Error> {
        self.0.read(bytes)
    }
}

impl Handle for TcpHandle {
    fn read_or_writable(&mut self, bytes: &mut [u8]) -> Result<Option<usize>, Error> {
        self.0.read_or_writable(bytes)
    }

    fn wait_writable(&mut self, refused: bool) -> Result<(), Error> {
        self.0.wait_writable(refused)
    }

    fn set_deadline(&mut self, after: Option<Duration>) {
        self.0.set_deadline(after);
    }
}
