"""`manage.py validate_location`: does a location keep every promise of a store? To be run before it holds copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from providers import registry
from providers.management.answers import add_value_arguments, location_named, values_given
from providers.services.validations import location_validate
from providers.stores.errors import StoreError
from providers.stores.options import InvalidOptions
from providers.validation import Finding, State, validate_store
from providers.wrappers.stack import wrap_store
from wedbackup.core.sealing import SealingError

WIDTH = 160  # of a log or a pipe, so that no promise is broken over two lines
MARKS = {
    State.KEPT: ("kept", "green"),
    State.WARNED: ("kept, but", "bold yellow"),
    State.EXEMPT: ("exempt", "dim"),
    State.BROKEN: ("BROKEN", "bold red"),
}


class Command(BaseCommand):
    help = "Checks every promise that a store must keep against a location. Ends with an error if one is broken."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="name of a location that exists, in quotes if it has spaces")
        parser.add_argument("--kind", choices=sorted(registry.KINDS), help="try a place that is no location yet")
        add_value_arguments(parser)
        parser.add_argument(
            "--large", action="store_true", help="also move objects of more than a few MiB, and thousands of them"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if bool(options["name"]) == bool(options["kind"]):
            raise CommandError("Say which location: either its name, or --kind with --option for each option.")
        try:
            title, findings = _by_name(options) if options["name"] else _by_kind(options)
            states = self._show(title, findings)
        except (InvalidOptions, SealingError) as exc:
            raise CommandError(f"{exc}.".replace("..", ".")) from exc
        except StoreError as exc:
            raise CommandError(f"{exc}. {exc.advice}") from exc
        except KeyboardInterrupt as exc:
            raise CommandError("Stopped. Objects below wedbackup-validation/ may be left; remove them.") from exc
        if broken := states[State.BROKEN]:
            raise CommandError(f"{broken} of {states.total()} promises are broken: {title} must not hold copies yet.")
        self.stdout.write(self.style.SUCCESS(f"{title} keeps all promises: {_counted(states)}."))

    def _show(self, title: str, findings: Iterator[Finding]) -> Counter[State]:
        """Show each finding as it comes; return how many promises are in each state."""
        states: Counter[State] = Counter()
        table = Table("", "promise", "took", title=f"Promises of {title}", title_justify="left")
        console = Console(file=cast("IO[str]", self.stdout))
        if not console.is_terminal:
            console.width = WIDTH
        with Live(table, console=console, refresh_per_second=8, transient=console.is_terminal) as live:
            live.update(_with_spinner(table, console))
            for finding in findings:
                states[finding.state] += 1
                _add(table, finding)
                live.update(_with_spinner(table, console))
            live.update(table)
        if console.is_terminal:
            console.print(table)
        return states


def _with_spinner(table: Table, console: Console) -> Any:
    if not console.is_terminal:
        return table
    grid = Table.grid()
    grid.add_row(table)
    grid.add_row(Spinner("dots", text="checking the next one"))
    return grid


def _counted(states: Counter[State]) -> str:
    words = {State.KEPT: "kept", State.WARNED: "kept with a warning", State.EXEMPT: "do not apply here"}
    return ", ".join(f"{states[state]} {said}" for state, said in words.items() if states[state])


def _add(table: Table, finding: Finding) -> None:
    mark = Text(*MARKS[finding.state])
    what = Text(finding.promise)
    if finding.detail:
        what.append(f"\n{finding.detail}", style="yellow")
    table.add_row(mark, what, f"{finding.seconds:.2f} s")


def _by_name(options: dict[str, Any]) -> tuple[str, Iterator[Finding]]:
    location = location_named(options["name"])
    return location.name, location_validate(location, large=options["large"])


def _by_kind(options: dict[str, Any]) -> tuple[str, Iterator[Finding]]:
    kind = registry.kind_named(options["kind"])
    bare = registry.open_store(kind.name, values_given(kind.name, options["option"], options["secret_file"]))
    return f"{kind.label} (not stored)", validate_store(wrap_store(bare), bare=bare, large=options["large"])
