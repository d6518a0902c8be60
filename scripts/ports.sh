# SPDX-License-Identifier: Apache-2.0
#
# Sourced by scripts that start servers.

# free_port [PORT]: prints PORT if it is free on this PC's loopback interface, otherwise any that is.
free_port() {
    python3 - "${1:-0}" <<'PY'
import socket, sys
for port in int(sys.argv[1]), 0:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        print(probe.getsockname()[1])
        break
PY
}
