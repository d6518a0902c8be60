// SPDX-License-Identifier: Apache-2.0
//! What the clients' examples share.

use std::process::ExitCode;

/// The only argument of `program`, a URL; otherwise the status to end with, and `help` is printed.
pub fn url_argument(program: &str, help: &str) -> Result<String, ExitCode> {
    let mut arguments = std::env::args().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(argument), None) if argument == "--help" || argument == "-h" => {
            println!("{help}");
            Err(ExitCode::SUCCESS)
        }
        (Some(url), None) => Ok(url),
        _ => {
            eprintln!("{program}: one URL is needed\n\n{help}");
            Err(ExitCode::from(2))
        }
    }
}
