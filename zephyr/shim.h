/* SPDX-License-Identifier: Apache-2.0 */

/* What the C files of this module share. */

#ifndef RUST_WEBSOCKET_SHIM_H_
#define RUST_WEBSOCKET_SHIM_H_

/* Gives a connection the options that every one begins with. */
void rust_websocket_set_up(int fd);

/* A function's result, after it has failed with a positive errno. */
int rust_websocket_failure(int err);

#endif /* RUST_WEBSOCKET_SHIM_H_ */
