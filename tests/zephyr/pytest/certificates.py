# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests of TLS: those that were built into an image, and others."""

import subprocess


def built_in(device):
    """The folder that the build of the image has made, with the CA's key."""
    return device.device_config.app_build_dir / "zephyr" / "certificates"


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_ca(folder, name):
    """A CA that nobody knows."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", folder / f"{name}.key.pem", "-out", folder / f"{name}.pem",
            "-subj", f"/CN={name}", "-days", "2")


def make(folder, name, ca, subject_alt_name="DNS:localhost,IP:127.0.0.1", start=None, end=None):
    """A certificate by the CA `ca`, a path without its suffix; times as YYYYMMDDHHMMSSZ."""
    key, request, out = (folder / f"{name}{suffix}" for suffix in (".key.pem", ".req", ".pem"))
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", key, "-out", request, "-subj", f"/CN={name}")
    # "openssl x509" cannot set the times.
    work = folder / f"{name}.ca"
    work.mkdir()
    (work / "index").touch()
    (work / "serial").write_text("01")
    (work / "config").write_text(
        f"[ca]\ndefault_ca=it\n[it]\ndatabase={work}/index\nserial={work}/serial\n"
        f"new_certs_dir={work}\ndefault_md=sha256\npolicy=any\nx509_extensions=extensions\n"
        f"[any]\ncommonName=supplied\n[extensions]\nsubjectAltName={subject_alt_name}\n"
    )
    times = ["-startdate", start] if start else []
    times += ["-enddate", end] if end else ["-days", "2"]
    openssl("ca", "-batch", "-notext", "-config", work / "config", "-cert", f"{ca}.pem",
            "-keyfile", f"{ca}.key.pem", "-in", request, "-out", out, *times)
    return folder / name
