"""`make demo-directory`: the one scenario of names and messages, told chapter by chapter.

Real processes that talk over TLS, in a temporary folder that is gone afterwards. Each chapter is
told only where it is true; otherwise the demo fails and says what was expected and what was seen.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from console.cli.failure import failure_of, report
from console.cli.output import Format, busy, console_for_notes, console_for_people, show
from console.cli.paragraphs import unfolded
from console.demo.directory.chapters import CHAPTERS, tell_chapters
from console.demo.directory.demo_stack import DemoStack
from console.demo.directory.picture import draw_conversation
from console.demo.directory.shown import bubbles_of
from console.demo.directory.story import Story
from console.demo.directory.systems import shown, shown_view


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """chapter: the last one that is told; 0: all. Those before it happen, too."""

    chapter: int
    output: Path
    keep: bool
    format: Format


def main() -> int:
    options = _options(sys.argv[1:])
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        run(options)
    except BaseException as error:  # raised again where it is not one of ours
        failure = None if isinstance(error, SystemExit) else failure_of(error)
        if failure is None:
            raise
        report(failure)
        return failure.code
    return 0


def run(options: Options) -> None:
    """The whole demo. Raises CommandFailed, HomeportError."""
    as_table = options.format is Format.TABLE
    out = console_for_people() if as_table else console_for_notes()
    began_s = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="homeport-demo-"))
    story = Story(out)
    try:
        with busy("starting") as now_doing:
            stack = DemoStack(folder, on_step=lambda step: now_doing(f"{step} …"))
            stack.__enter__()
        try:
            _introduce(out, stack)
            tell_chapters(story, stack, last=options.chapter)
            took_s = time.monotonic() - began_s
            out.print(f"\n[bold green]Every chapter is true[/] [dim]({took_s:.0f} s in all)[/]")
            out.print(unfolded(shown_view(story.chapters)))
            picture = _draw(stack, options.output)
            out.print(f"picture: {picture}", markup=False)
            if not as_table:
                told = {
                    "chapters": story.document(),
                    "systems": shown(story.chapters),
                    "took_s": round(took_s, 1),
                }
                show(told, options.format, lambda: "")
            if options.keep:
                _stay(out, stack)
        finally:
            with busy("stopping"):
                stack.__exit__()
    except BaseException:  # Ctrl-C too: the logs say how far it was; it goes on upwards
        _save_logs(folder, options.output)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _draw(stack: DemoStack, output: Path) -> Path:
    """Anna's conversations, all of them, as she has them."""
    output.mkdir(parents=True, exist_ok=True)
    target = output / "conversation.svg"
    drawn = draw_conversation("Anna's conversations", "as her unit has them", bubbles_of(stack))
    target.write_text(drawn, encoding="utf-8")
    return target


def _introduce(out: Console, stack: DemoStack) -> None:
    pids = stack.local.pids
    out.print(
        "[bold]Names, and messages that find their way[/]\n"
        f"A provisioning server with the directory on the embedded store, and the units "
        f"{' and '.join(stack.local.units)}:\n{len(pids)} processes on this machine, with TLS "
        "and tokens."
    )


def _stay(out: Console, stack: DemoStack) -> None:
    out.print("\nIt runs until Ctrl-C. For a browser, which does not know the CA of the stack:")
    for what, address in stack.addresses():
        out.print(f"  {what}: {address}", markup=False)
    out.print("For commands:", stack.command_options(), markup=False, soft_wrap=True)
    try:
        while True:
            stack.local.tend()
            time.sleep(0.1)
    except KeyboardInterrupt:
        return


def _save_logs(folder: Path, output: Path) -> None:
    """What the processes wrote, for whoever looks for the cause of a failure."""
    target = output / "logs"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True, exist_ok=True)
    for log in folder.rglob("*.log"):
        shutil.copyfile(log, target / log.name)
    console_for_notes().print(f"logs: {target}", markup=False)


def _options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="make demo-directory", description=__doc__)
    parser.add_argument(
        "--chapter", type=int, default=0, choices=(0, *CHAPTERS), metavar="N",
        help=f"end after this one of {', '.join(map(str, CHAPTERS))}",
    )  # fmt: skip
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    parser.add_argument("--output", type=Path, default=Path("demo-output/directory"))
    parser.add_argument(
        "-o", dest="format", type=Format, default=Format.TABLE, choices=list(Format),
        metavar="table|json|yaml",
    )  # fmt: skip
    return Options(**vars(parser.parse_args(arguments)))


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
