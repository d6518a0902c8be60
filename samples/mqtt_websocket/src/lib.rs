// SPDX-License-Identifier: Apache-2.0
//! The MQTT client on Zephyr.

#![no_std]

mod mqtt;
#[cfg(CONFIG_SAMPLE_TLS)]
mod tls;

use core::ffi::CStr;
use core::time::Duration;

use log::error;
use zephyr::kconfig::{
    CONFIG_MAIN_STACK_SIZE, CONFIG_MQTT_CLIENT_FIRST_DELAY_MS, CONFIG_MQTT_CLIENT_ID,
    CONFIG_MQTT_CLIENT_INTERVAL_MS, CONFIG_MQTT_CLIENT_KEEP_ALIVE_S,
    CONFIG_MQTT_CLIENT_MAX_DELAY_MS, CONFIG_MQTT_CLIENT_PASSWORD, CONFIG_MQTT_CLIENT_TOPIC,
    CONFIG_MQTT_CLIENT_URL, CONFIG_MQTT_CLIENT_USER_NAME,
};
use zephyr_websocket::zephyr::{Csprng, Error, TcpStream, config, uptime_ms};
use zephyr_websocket::{Backoff, Url};

const TIMEOUTS: mqtt::Timeouts = mqtt::Timeouts {
    handshake: config::HANDSHAKE_TIMEOUT,
    answer: config::SEND_TIMEOUT,
    close: config::CLOSE_TIMEOUT,
};

/// The longest MQTT packet, in bytes.
const PACKET_SIZE: usize = 512;

/// Of the stack, what the MQTT client's packets and the TLS handshake or formatting a log message
/// take.
const OTHER_SIZE: usize = 8192;

const BUFFERS_SIZE: usize = config::RX_BUFFER_SIZE + config::TX_BUFFER_SIZE + PACKET_SIZE;

// A stack that overflows is a fault without a cause that the log could tell.
const _: () = assert!(
    CONFIG_MAIN_STACK_SIZE as usize >= BUFFERS_SIZE + OTHER_SIZE,
    "the buffers do not fit main()'s stack: raise CONFIG_MAIN_STACK_SIZE to 8704 more than the \
     receive buffer and the transmit buffer take"
);

#[unsafe(no_mangle)]
extern "C" fn rust_main() {
    // SAFETY: no other thread runs yet that could log.
    if unsafe { zephyr::set_logger() }.is_err() {
        return;
    }
    let url = match Url::parse(CONFIG_MQTT_CLIENT_URL) {
        Ok(url) if cfg!(CONFIG_SAMPLE_TLS) || !url.is_secure => url,
        Ok(_) => return error!("wss needs CONFIG_SAMPLE_TLS: build with overlay-tls.conf"),
        Err(error) => return error!("{}: {}", CONFIG_MQTT_CLIENT_URL, error),
    };
    // A host name has at most 253 characters (RFC 1035 section 2.3.4).
    let mut host: heapless::Vec<u8, 254> = heapless::Vec::new();
    if host.extend_from_slice(url.host.as_bytes()).is_err() || host.push(0).is_err() {
        return error!("the host's name is too long");
    }
    let Ok(host) = CStr::from_bytes_with_nul(&host) else {
        return error!("the host's name has a zero byte");
    };
    #[cfg(CONFIG_SAMPLE_TLS)]
    if let Err(error) = tls::add_ca() {
        return error!("{}", error);
    }
    let settings = mqtt::Settings {
        url,
        client_id: CONFIG_MQTT_CLIENT_ID,
        user_name: Some(CONFIG_MQTT_CLIENT_USER_NAME).filter(|name| !name.is_empty()),
        password: Some(CONFIG_MQTT_CLIENT_PASSWORD).filter(|password| !password.is_empty()),
        topic: CONFIG_MQTT_CLIENT_TOPIC,
        keep_alive: CONFIG_MQTT_CLIENT_KEEP_ALIVE_S as u16,
        interval: CONFIG_MQTT_CLIENT_INTERVAL_MS as u32,
        backoff: Backoff::new(
            Duration::from_millis(CONFIG_MQTT_CLIENT_FIRST_DELAY_MS as u64),
            Duration::from_millis(CONFIG_MQTT_CLIENT_MAX_DELAY_MS as u64),
            mqtt::STABLE,
        ),
        timeouts: TIMEOUTS,
    };
    let mut rx = [0; config::RX_BUFFER_SIZE];
    let mut tx = [0; config::TX_BUFFER_SIZE];
    let mut packet = [0; PACKET_SIZE];
    let board = Board {
        host,
        port: url.port,
        #[cfg(CONFIG_SAMPLE_TLS)]
        is_secure: url.is_secure,
    };
    error!("{}", mqtt::run(&board, &settings, [&mut rx, &mut tx, &mut packet]));
}

struct Board<'a> {
    host: &'a CStr,
    port: u16,
    #[cfg(CONFIG_SAMPLE_TLS)]
    is_secure: bool,
}

impl mqtt::Platform for Board<'_> {
    type Transport = TcpStream;
    type Entropy = Csprng;

    fn connect(&self) -> Result<TcpStream, Error> {
        #[cfg(CONFIG_SAMPLE_TLS)]
        if self.is_secure {
            return tls::connect(self.host, self.port);
        }
        TcpStream::connect(self.host, self.port, config::CONNECT_TIMEOUT)
    }

    fn entropy(&self) -> Csprng {
        Csprng
    }

    fn uptime_ms(&self) -> u64 {
        uptime_ms()
    }

    fn sleep(&self, duration: Duration) {
        // A delay has at most two hours.
        zephyr::time::sleep(zephyr::time::Duration::millis(duration.as_millis() as _));
    }
}
