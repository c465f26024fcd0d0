# expect: crashed
# Starts threads until there are no more.
import threading


def kernel(u, out):
    wait = threading.Event()
    while True:
        threading.Thread(target=wait.wait, daemon=True).start()
