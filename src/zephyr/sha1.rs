// SPDX-License-Identifier: Apache-2.0

use super::ffi;

/// The SHA-1 digest of `bytes` by PSA crypto, `None` if that fails.
pub(crate) fn sha1(bytes: &[u8]) -> Option<[u8; 20]> {
    let mut digest = [0; 20];
    // SAFETY: the pointer and the length are those of one borrowed slice, and the digest is
    // exclusively borrowed.
    let result = unsafe { ffi::rust_websocket_sha1(bytes.as_ptr(), bytes.len(), &mut digest) };
    (result == 0).then_some(digest)
}
