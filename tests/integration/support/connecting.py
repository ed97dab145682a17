# SPDX-License-Identifier: Apache-2.0
"""A program that connects, and prints "ok" or the name of the error.

connect() blocks. Who waits with poll() and asks SO_ERROR, as Python does where a socket has a timeout, may
be told 0 by Linux: it queues an ICMP error and wakes the program before it sets the socket's error.
"""

# To be executed before a socket `s` connects.
BLOCKING = """
import socket, struct
def block(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 100, 0))
"""

# ADDRESS [PORT [SOURCE]]
CONNECT = BLOCKING + """
import errno, sys
host, *rest = sys.argv[1:]
port, *source = rest or ["7"]
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
block(s)
if source:
    s.bind((source[0], 0))
try:
    s.connect((host, int(port)))
    print("ok")
except OSError as e:
    print(errno.errorcode.get(e.errno, e))
"""
