// SPDX-License-Identifier: Apache-2.0

use super::ffi;

/// Writes the SHA-1 digest of `bytes` by PSA crypto, and returns whether that worked.
pub(crate) fn sha1(bytes: &[u8], digest: &mut [u32; 5]) -> bool {
    // SAFETY: the pointer and the length are those of one borrowed slice, and the digest is
    // exclusively borrowed; words may be written as bytes.
    let result = unsafe { ffi::rust_websocket_sha1(bytes.as_ptr(), bytes.len(), digest) };
    for word in digest {
        *word = u32::from_be(*word);
    }
    result == 0
}
