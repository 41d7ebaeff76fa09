#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Stands for QEMU where exitstat looks for VMs: has its command line, and answers at a QMP socket.

Usage: fake-qemu.py SOCKET ANSWERS QEMU_OPTION...

ANSWERS is a file with the greeting, then an answer to each command, a line each; one that begins with "+" follows the
one before at once. Without ANSWERS ("") nobody answers, as when another client is connected.
"""
import socket
import sys

server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(1)
while True:
    client = server.accept()[0]
    with client, client.makefile("rw") as stream:
        lines = open(sys.argv[2]).read().splitlines() if sys.argv[2] else []
        try:
            for number, line in enumerate(lines):
                if number and line[0] != "+" and not stream.readline():
                    break
                stream.write(line.lstrip("+") + "\n")
                stream.flush()
            stream.readline()
        except OSError:
            pass
