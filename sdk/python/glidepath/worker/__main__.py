"""`python -m glidepath.worker`: a worker from the command line."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from glidepath.client.connection import Tls
from glidepath.errors import GlidepathError
from glidepath.worker.worker import DRAIN_GRACE_SECONDS, Worker


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r}: expected NAME=VALUE")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m glidepath.worker",
        description="Run tasks for a Glidepath server. SIGTERM or SIGINT: finish what runs, hand back the rest, leave.",
    )
    parser.add_argument("--address", default="", help="host:port of the server, several separated by commas")
    parser.add_argument("--token", default="", help="better given as GLIDEPATH_TOKEN or GLIDEPATH_TOKEN_FILE")
    parser.add_argument("--namespace", default="")
    parser.add_argument(
        "--other-namespace",
        action="append",
        default=[],
        help="serve this one, too; may be repeated, needs a token of all",
    )
    parser.add_argument(
        "--identity", default="", help="stable name of this worker (default: drawn once, kept in the state dir)"
    )
    parser.add_argument("--slots", type=int, default=0, help="attempts at the same time (default: CPUs)")
    parser.add_argument("--queue", action="append", default=[], help="queue to serve, may be repeated")
    parser.add_argument("--label", action="append", type=_pair, default=[], metavar="NAME=VALUE")
    parser.add_argument("--resource", action="append", type=_pair, default=[], metavar="NAME=AMOUNT")
    parser.add_argument("--state-dir", default="", help="journal, source and artifacts of this worker, and of no other")
    parser.add_argument(
        "--dags-folder", default=None, help="where handlers without registered source are imported from"
    )
    parser.add_argument("--drain-grace", type=float, default=DRAIN_GRACE_SECONDS, metavar="SECONDS")
    parser.add_argument(
        "--preemption-notice",
        type=float,
        default=None,
        metavar="SECONDS",
        help="SIGTERM says, as SIGUSR1 always does, that the machine is taken away so soon (SIGUSR1 alone: 25): what "
        "runs is ended in time, and uses no retry",
    )
    parser.add_argument("--tls", action="store_true", help="talk TLS, trusting the system's authorities")
    parser.add_argument("--ca-file", default="", help="talk TLS, trusting the authorities in this PEM file")
    parser.add_argument("--certificate-file", default="", help="PEM file to show to a server that asks for it")
    parser.add_argument("--key-file", default="")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 after a drain, 2 when the settings or the server do not admit this worker."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        worker = Worker(
            options.address,
            token=options.token,
            namespace=options.namespace,
            other_namespaces=options.other_namespace,
            identity=options.identity,
            slots=options.slots,
            queues=options.queue or ["default"],
            labels=dict(options.label),
            resources={name: float(amount) for name, amount in options.resource},
            state_dir=options.state_dir,
            dags_folder=options.dags_folder,
            tls=_tls(options),
            drain_grace_seconds=options.drain_grace,
            preemption_notice_seconds=options.preemption_notice,
        )
        worker.run()
    except (GlidepathError, ValueError) as error:
        print(f"worker: {error}", file=sys.stderr)
        return 2
    return 0


def _tls(options: argparse.Namespace) -> Tls | None:
    if not (options.tls or options.ca_file or options.certificate_file):
        return None
    return Tls(options.ca_file, options.certificate_file, options.key_file)


if __name__ == "__main__":
    sys.exit(main())
