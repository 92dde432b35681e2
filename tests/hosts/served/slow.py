"""Lets one in at a time, and not soon: to each line that comes it says which process it is.

`python slow.py PORT PAUSE_MS`: so long it does nothing before it accepts the next one. One whose
pause is 0 accepts nobody at all.
"""

import os
import selectors
import socket
import sys
import time

WAITING = 100
NAMED = os.urandom(4).hex()


def main(port: int, pause_s: float) -> None:
    ears = socket.create_server(("", port), backlog=WAITING)
    while not pause_s:
        time.sleep(1)
    chooser = selectors.DefaultSelector()
    chooser.register(ears, selectors.EVENT_READ)
    while True:
        for key, _ in chooser.select():
            one = key.fileobj
            assert isinstance(one, socket.socket)
            if one is ears:
                time.sleep(pause_s)
                chooser.register(ears.accept()[0], selectors.EVENT_READ)
            elif data := one.recv(4_096):
                one.sendall(f"{NAMED} {data.decode()}".encode())
            else:
                chooser.unregister(one)
                one.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) / 1_000)
