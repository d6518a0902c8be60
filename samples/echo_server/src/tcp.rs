// SPDX-License-Identifier: Apache-2.0
//! The echo server over plain TCP.

use log::info;
use zephyr_websocket::zephyr::{Error, TcpListener, TcpNetwork};

pub fn listen(port: u16) -> Result<TcpNetwork, Error> {
    let listener = TcpListener::bind(port)?;
    info!("listening on port {}", listener.local_port());
    Ok(TcpNetwork::new(listener))
}
