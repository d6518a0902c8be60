# SPDX-License-Identifier: Apache-2.0
#
# Sourced by scripts that need what Debian has in packages.

# provide WANTED PACKAGE...: installs the packages where WANTED, a command or a file, is not there.
# Returns 1 where it cannot.
provide() {
    local wanted=$1
    shift
    # Debian has services where only root's PATH leads.
    PATH=$PATH:/usr/sbin command -v "$wanted" >/dev/null || [[ -e $wanted ]] && return
    [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null || return
    { apt-get update -q && apt-get install -yq --no-install-recommends "$@"; } >&2
}

# Prints the path of Chromium: the one that $CHROMIUM names, or one in PATH, or Debian's.
provide_chromium() {
    local name
    for name in ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome; do
        command -v "$name" && return
    done
    provide chromium chromium && command -v chromium
}
