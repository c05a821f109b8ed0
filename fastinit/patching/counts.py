"""What a scope of `fastinit.patch` did: calls and elements that fastinit filled, and calls that it left to torch."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict

__all__ = ["Counts"]


class Counts:
    """The tally of one scope, and of the scopes inside it; made by `fastinit.patch`, safe to read at any time.

    Functions of torch.nn.init go by their own names, methods as "Tensor.normal_", timm's as "timm.lecun_normal_".
    A function that is left to torch may still call one that is not: then both are counted.
    """

    def __init__(self) -> None:
        self._accelerated: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])  # calls, elements
        self._never_seen = 0
        self._left: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()  # an installed patch has one tally for all threads

    @property
    def calls(self) -> int:
        """Calls that fastinit took over."""
        return sum(calls for calls, _ in list(self._accelerated.values()))

    @property
    def elements(self) -> int:
        """Elements that it filled in them; a tensor that is filled twice counts twice."""
        return sum(elements for _, elements in list(self._accelerated.values()))

    @property
    def left(self) -> int:
        """Calls that were left to torch."""
        return self._left.total()

    @property
    def unseen(self) -> int:
        """Elements among them that were never written, because nobody would have seen them (``defer=True``)."""
        return self._never_seen

    def accelerated(self, function: str, elements: int) -> None:
        """Note a call that fastinit took over."""
        with self._lock:
            tally = self._accelerated[function]
            tally[0] += 1
            tally[1] += elements

    def never_seen(self, elements: int) -> None:
        """Note a fill that was put off and then not done."""
        with self._lock:
            self._never_seen += elements

    def left_to_torch(self, function: str, reason: str) -> None:
        """Note a call that torch answered, and why."""
        with self._lock:
            self._left[function, reason] += 1

    def to_dict(self) -> dict[str, dict[str, dict[str, int]]]:
        """The tally as plain dictionaries, which `json.dumps` takes.

        Example:
            >>> import torch, fastinit
            >>> with fastinit.patch() as counts:
            ...     _ = torch.nn.Linear(3, 5)
            ...     _ = torch.nn.init.zeros_(torch.empty(2, device="meta"))
            >>> counts.to_dict()["accelerated"]
            {'kaiming_uniform_': {'calls': 1, 'elements': 15}, 'uniform_': {'calls': 1, 'elements': 5}}
            >>> counts.to_dict()["left_to_torch"]
            {'zeros_': {'the device meta': 1}}
        """
        with self._lock:
            accelerated = {
                name: {"calls": calls, "elements": elements}
                for name, (calls, elements) in sorted(self._accelerated.items())
            }
            left: dict[str, dict[str, int]] = {}
            for (name, reason), calls in sorted(self._left.items()):
                left.setdefault(name, {})[reason] = calls
        return {"accelerated": accelerated, "left_to_torch": left}

    def summary(self) -> str:
        """One line of it."""
        with self._lock:
            reasons: Counter[str] = Counter()
            for (_, reason), calls in self._left.items():
                reasons[reason] += calls
        line = f"{_calls(self.calls)} and {self.elements:,} elements accelerated"
        if self._never_seen:
            line += f" ({self._never_seen:,} never seen)"
        if not reasons:
            return line
        why = ", ".join(f"{reason}: {calls:,}" for reason, calls in reasons.most_common())
        return f"{line}, {_calls(self.left)} left to torch ({why})"

    def __repr__(self) -> str:
        """A line a function.

        Example:
            >>> import torch, fastinit
            >>> with fastinit.patch() as counts:
            ...     _ = torch.nn.Linear(30, 50)
            >>> counts
            Counts: 2 calls and 1,550 elements accelerated
              kaiming_uniform_    1 call, 1,500 elements
              uniform_            1 call, 50 elements
        """
        facts = self.to_dict()
        rows = [
            (name, f"{_calls(tally['calls'])}, {tally['elements']:,} elements")
            for name, tally in facts["accelerated"].items()
        ]
        for name, reasons in facts["left_to_torch"].items():
            rows += [(name, f"{_calls(calls)} left to torch: {reason}") for reason, calls in reasons.items()]
        width = max((len(name) for name, _ in rows), default=0) + 4
        return "\n".join([f"Counts: {self.summary()}", *(f"  {name:<{width}}{what}" for name, what in rows)])


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number:,} calls"
