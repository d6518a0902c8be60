# SPDX-License-Identifier: Apache-2.0

# Makes `west build -t run` start QEMU: for mps2/an386/qemu, and for mps2/an386 in applications of
# this module. Arm's FVP remains as `-t run_armfvp`.
if(CONFIG_BOARD_MPS2_AN386_QEMU OR (CONFIG_BOARD_MPS2_AN386 AND CONFIG_RUST_WEBSOCKET))
  list(PREPEND SUPPORTED_EMU_PLATFORMS qemu)
  set(QEMU_CPU_TYPE_${ARCH} cortex-m4)
  set(QEMU_FLAGS_${ARCH}
    -cpu ${QEMU_CPU_TYPE_${ARCH}}
    -machine mps2-an386
    -nographic
    -vga none
    )

  # QEMU's user network: the guest is 10.0.2.15, and 10.0.2.2 is this PC's 127.0.0.1. What a sample
  # listens on is forwarded from the same port of 127.0.0.1.
  if(CONFIG_NET_L2_ETHERNET)
    set(qemu_nic user,model=lan9118)
    foreach(port ${CONFIG_ECHO_SERVER_PORT} ${CONFIG_DASHBOARD_PORT} ${CONFIG_VNC_DISPLAY_PORT}
                 ${CONFIG_SPLIT_PORT} ${CONFIG_TEST_PORT})
      if(port)
        string(APPEND qemu_nic ",hostfwd=tcp:127.0.0.1:${port}-:${port}")
      endif()
    endforeach()
    list(APPEND QEMU_FLAGS_${ARCH} -nic ${qemu_nic})
  endif()
endif()
