# expect: crashed
# class: limits
# tries: Starts threads until there are no more.
# held by: a limit on private memory, or on threads
import threading


def kernel(u, out):
    wait = threading.Event()
    while True:
        threading.Thread(target=wait.wait, daemon=True).start()
