// SPDX-License-Identifier: Apache-2.0
//! The two roles of RFC 6455 as types, so that an image with a server only holds no client code.

use crate::frame::MaskingKey;
use crate::mask;
use crate::transport::{Entropy, EntropyUnavailable};

mod sealed {
    pub trait Sealed {}
}

/// Which end of the connection this is: [`Server`] or [`Client`].
pub trait Role: sealed::Sealed {
    /// What a frame sent in this role is masked with: nothing for a server (RFC 6455
    /// section 5.1), four unpredictable bytes for a client (section 5.3).
    type Key: Copy + Default;

    /// Whether this role masks what it sends, and therefore refuses masked frames.
    const MASKS: bool;

    /// The masking key as it stands in a frame's header, zeros where there is none.
    fn masking_key(key: Self::Key) -> MaskingKey;

    /// Masks the next bytes of a payload in place and moves `key` on by as many.
    fn mask(key: &mut Self::Key, payload: &mut [u8]);
}

/// A role that finds its own masking keys.
pub trait KeySource: Role {
    /// The key for the next frame.
    fn key(&mut self) -> Result<Self::Key, EntropyUnavailable>;
}

/// The server's role: it sends unmasked frames and refuses unmasked ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct Server;

impl sealed::Sealed for Server {}

impl Role for Server {
    type Key = ();
    const MASKS: bool = false;

    fn masking_key((): ()) -> MaskingKey {
        [0; 4]
    }

    fn mask((): &mut (), _payload: &mut [u8]) {}
}

impl KeySource for Server {
    fn key(&mut self) -> Result<(), EntropyUnavailable> {
        Ok(())
    }
}

/// The client's role: it masks what it sends and refuses masked frames. `E` is where its masking
/// keys come from; a [`Connection`](crate::Connection), which is given them, needs none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Client<E = ()>(pub E);

impl<E> sealed::Sealed for Client<E> {}

impl<E> Role for Client<E> {
    type Key = MaskingKey;
    const MASKS: bool = true;

    fn masking_key(key: MaskingKey) -> MaskingKey {
        key
    }

    fn mask(key: &mut MaskingKey, payload: &mut [u8]) {
        *key = mask::apply(payload, u32::from_le_bytes(*key)).to_le_bytes();
    }
}

impl<E: Entropy> KeySource for Client<E> {
    fn key(&mut self) -> Result<MaskingKey, EntropyUnavailable> {
        let mut key = [0; 4];
        self.0.fill(&mut key)?;
        Ok(key)
    }
}
