"""Loopback addresses for the test controllers.

free            print one on which all of Samba's ports are free
wait IP CA      return once the controller there answers over TLS with a certificate of the CA
"""

import socket
import ssl
import sys
import time

PORTS = (53, 389, 636, 3268, 3269)

# LDAP: search the root entry for its attribute names; any controller answers that to anyone.
ROOT_SEARCH = b"\x30\x25\x02\x01\x01\x63\x20\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x0bobjectClass\x30\x00"


def is_free(address):
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def answers(address, ca):
    context = ssl.create_default_context(cafile=ca)
    try:
        with socket.create_connection((address, 636), 2) as tcp, context.wrap_socket(tcp, server_hostname=address) as tls:
            tls.sendall(ROOT_SEARCH)
            return bool(tls.recv(1))
    except ssl.SSLCertVerificationError:
        raise
    except OSError:
        return False


if sys.argv[1] == "free":
    addresses = (f"127.0.0.{n}" for n in range(20, 251))
    found = next(filter(is_free, addresses), None)
    print(found) if found else sys.exit("no loopback address with free ports")
else:
    deadline = time.monotonic() + 30
    while not answers(sys.argv[2], sys.argv[3]):
        if time.monotonic() > deadline:
            sys.exit(f"{sys.argv[2]} did not answer")
        time.sleep(0.05)
