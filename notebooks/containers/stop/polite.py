import signal
import sys
import threading

if "polite" in sys.argv:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("serving", flush=True)
threading.Event().wait()
