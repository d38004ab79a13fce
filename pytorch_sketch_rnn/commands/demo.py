"""``python -m pytorch_sketch_rnn demo MODEL`` serves a page on which a person begins to draw and the model goes on."""

import argparse
import shlex
import signal
import threading
import webbrowser
from pathlib import Path

from pytorch_sketch_rnn.commands.backend_flag import add_backend, chosen_backend, notices_as_notes
from pytorch_sketch_rnn.commands.flag_ranges import check_range

PORT = 8217


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser."""
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="a folder written by training or weight_port")
    add("--static", metavar="DIR", type=Path, help="write the page and an LSTM model into a folder for any web server")
    add("--port", type=int, default=PORT, help=f"of the page on this computer (default {PORT}; 0: any that is free)")
    add("--no-browser", action="store_true", help="do not open the page")
    add("--device", default="auto", help="such as cpu, cuda or mps (default: the best that is there)")
    add_backend(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command until Ctrl-C; returns the exit code."""
    from pytorch_sketch_rnn.commands.usable_model import usable_model
    from pytorch_sketch_rnn.demo.server import open_server
    from pytorch_sketch_rnn.demo.static import write_static
    from pytorch_sketch_rnn.device import usable_device
    from pytorch_sketch_rnn.errors import naming

    check_range("--port", arguments.port, 0, 65535)
    device = usable_device(arguments.device, "--device")
    model = usable_model(arguments.model, device, chosen_backend(arguments.backend, device))
    name = arguments.model.resolve().name
    if arguments.static is not None:
        with naming(arguments.model):
            files = write_static(model, name, arguments.static)
        print(f"wrote {arguments.static}: {', '.join(files)}")
        print("next:", shlex.join(["python", "-m", "http.server", "--directory", str(arguments.static)]))
        return 0
    with open_server(model, name, arguments.port) as server, notices_as_notes():
        # a script that starts it in the background makes it ignore Ctrl-C otherwise
        signal.signal(signal.SIGINT, signal.default_int_handler)
        address = f"http://{server.server_address[0]!s}:{server.server_address[1]}/"
        print(f"serving {name} on {address} for this computer alone; Ctrl-C ends it", flush=True)
        if not arguments.no_browser:
            threading.Timer(0.5, webbrowser.open, [address]).start()
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            print("ended")
    return 0
