"""The table of all promises and providers, made from what the contract tests found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from providers.registry import KINDS
from providers.validation import GROUPS, State
from tests.providers.conformance.servers import PROVED_AGAINST
from tests.providers.store_contract import UNPROVED

# Of the variants in which a provider is tested (profiles, TLS, a prefix) the first in this order speaks for it.
ORDER = (State.BROKEN, UNPROVED, State.KEPT, State.WARNED, State.EXEMPT)
WORDS = {
    State.BROKEN: "BROKEN",
    UNPROVED: "unproved",
    State.KEPT: "kept",
    State.WARNED: "kept, warns",
    State.EXEMPT: "exempt",
}
HEAD = """# What each provider keeps

Made by `bin/conformance`; do not edit. The same promises are what `manage.py validate_location` and the Validate button
put to the test against a real location, with its own credential.

- **kept**: shown in the tests against the server named below.
- **kept, warns**: kept, and a person is told something on the way.
- **exempt**: need not be kept there; the note says why.
- **unproved**: the server of the tests cannot show it; the note says why. A validation of the real location does.

"""


@dataclass
class Notes:
    """Numbered footnotes; a reason that was given before keeps its number."""

    reasons: list[str] = field(default_factory=list)

    def number(self, reason: str) -> int:
        if reason not in self.reasons:
            self.reasons.append(reason)
        return self.reasons.index(reason) + 1


Found = Mapping[str, Mapping[str, Sequence[tuple[str, str]]]]  # promise -> kind -> (state, detail) of each variant


def grouped(lines: Iterable[Sequence[str]]) -> Found:
    """Return the plugin's lines (class, kind, promise, state, detail) by promise and kind."""
    found: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for _, kind, promise, state, detail in lines:
        found[promise][kind].append((state, detail))
    return found


def page(lines: Iterable[Sequence[str]]) -> str:
    """Return the whole page."""
    found, notes = grouped(lines), Notes()
    kinds = list(KINDS)
    parts = [HEAD, "## Proved against\n\n| provider | server |\n|---|---|\n"]
    parts += [f"| {KINDS[kind].label} (`{kind}`) | {PROVED_AGAINST[kind]} |\n" for kind in kinds]
    for title, promises in GROUPS.items():
        parts.append(f"\n## {title}\n\n| promise | {' | '.join(kinds)} |\n|---|{'---|' * len(kinds)}\n")
        for promise in promises:
            cells = [_cell(found.get(promise.name, {}).get(kind, ()), notes) for kind in kinds]
            parts.append(f"| {promise.name} | {' | '.join(cells)} |\n")
    parts.append("\n## Notes\n\n")
    parts += [f"{number}. {reason}\n" for number, reason in enumerate(notes.reasons, start=1)]
    return "".join(parts)


def _cell(variants: Sequence[tuple[str, str]], notes: Notes) -> str:
    if not variants:
        return "not run"
    state, detail = min(variants, key=lambda variant: (ORDER.index(variant[0]), variant[1]))
    noted = f" [{notes.number(detail)}]" if detail and state != State.KEPT else ""
    return WORDS[state] + noted
