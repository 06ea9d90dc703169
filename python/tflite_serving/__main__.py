"""python -m tflite_serving run MODULE: tries a servable without a server."""

import argparse
import statistics
import sys
import time
import traceback
from typing import List, Optional

from . import _adapters, _local
from ._errors import ServableError


def main(arguments: Optional[List[str]] = None) -> int:
    """The exit status: 0 for an answer, 1 for an error in loading or in the answer, 2 for wrong arguments."""
    parser = argparse.ArgumentParser(prog="python -m tflite_serving", description="Tries custom servables without a server.")
    run = parser.add_subparsers(dest="command", required=True).add_parser("run", help="load a servable, print its answer to a request")
    run.add_argument("module", help="module_path: the Python file")
    run.add_argument("--class", dest="class_name", default="", metavar="NAME",
                     help=f"model_class_name; default: {' or '.join(_adapters.DEFAULT_NAMES)}")
    run.add_argument("--path", default="", metavar="DIR", help="servable_path; default: the module's folder")
    run.add_argument("--config", action="append", default=[], metavar="KEY=VALUE", help="a key of custom_model_config; may be repeated")
    run.add_argument("--request", type=argparse.FileType("rb"), metavar="FILE",
                     help="the body of a REST predict request, - for stdin; without it, only loads, and prints the signatures")
    run.add_argument("--repeat", type=int, default=1, metavar="N", help="sends it N times, and prints how long they took")
    options = parser.parse_args(arguments)
    if options.repeat < 1 or not all("=" in pair for pair in options.config):
        parser.error("--repeat is at least 1, and --config KEY=VALUE")
    try:
        with _local.load(options.module, options.class_name, options.path, **dict(pair.split("=", 1) for pair in options.config)) as servable:
            return _run(servable, options)
    except ServableError as error:
        print(error, file=sys.stderr)
    except Exception:
        traceback.print_exc()
    return 1


def _run(servable: _local.LocalServable, options: argparse.Namespace) -> int:
    if options.request is None:
        for key, signature in (servable.signatures or {}).items():
            print(f"{key}: {_listed(signature.inputs)} -> {_listed(signature.outputs)}")
        if servable.signatures is None:
            print("takes JSON")
        return 0
    request = options.request.read()
    times_ms = []
    for _ in range(options.repeat):
        begin = time.perf_counter()
        answer = servable.call(request)
        times_ms.append((time.perf_counter() - begin) * 1e3)
    print(answer.decode("utf-8"))
    if options.repeat > 1:
        print(f"{options.repeat} times: median {statistics.median(times_ms):.3f} ms, least {min(times_ms):.3f} ms, most {max(times_ms):.3f} ms",
              file=sys.stderr)
    return 1 if _adapters.is_error(answer) else 0


def _listed(specs) -> str:
    return ", ".join(f"{name} {spec}" for name, spec in specs.items())


if __name__ == "__main__":
    sys.exit(main())
