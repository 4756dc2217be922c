"""Lab 03: whether a score treats two groups alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from labkit.answer import Answer, Result
from labkit.exercise import Exercise, case, expect

Drawn = tuple[list[str], list[str], list[bool], str]
KEYS = ("selection_rates", "impact_ratio", "true_positive_rates")


def draw(rng: np.random.Generator, groups: str = "AB", favoured: str = "A") -> Drawn:
    """Scores, groups, suited and a threshold; the groups differ in size and one of them is favoured."""
    sizes = [int(rng.integers(18, 24)) + 17 * place for place in range(len(groups))]
    group = rng.permutation(np.repeat(list(groups), sizes))
    suited = rng.random(len(group)) < np.where(group == favoured, 0.55, 0.4)
    score = rng.uniform(0, 0.6, len(group)) + 0.12 * suited + 0.22 * (group == favoured)
    # At least one selected and one suited in each group, one of them at the threshold exactly.
    for name in groups:
        first = np.flatnonzero(group == name)[:2]
        suited[first] = True
        score[first] = (0.5, 0.1)
    return [f"{x:.4f}" for x in score], group.tolist(), suited.tolist(), "0.5000"


def rates(drawn: Drawn) -> dict[str, Any]:
    """What a right audit gives."""
    score, group, suited = (np.asarray(part) for part in drawn[:3])
    selected = score.astype(float) >= float(drawn[3])
    names = sorted(set(group.tolist()))
    by_group = {name: float(selected[group == name].mean()) for name in names}
    highest = max(by_group.values())
    return {
        "selection_rates": by_group,
        "impact_ratio": min(by_group.values()) / highest if highest else None,
        "true_positive_rates": {name: float(selected[(group == name) & suited].mean()) for name in names},
    }


def _wrong_rates(drawn: Drawn) -> dict[str, tuple[dict[str, float], str]]:
    """Other figures that are easily taken for the rates, and what to say of each."""
    score, group, suited = (np.asarray(part) for part in drawn[:3])
    selected = score.astype(float) >= float(drawn[3])
    above = score.astype(float) > float(drawn[3])
    names = sorted(set(group.tolist()))

    def each(rate: Any) -> dict[str, float]:
        return {name: float(rate(group == name)) for name in names}

    all_selected = max(1, selected.sum())
    return {
        "of the selected": (
            each(lambda g: (selected & g).sum() / all_selected),
            "These are the shares of each group among the selected. A large group has a large share however it is "
            "treated: divide by the candidates of the group.",
        ),
        "of everybody": (
            each(lambda g: (selected & g).mean()),
            "These are divided by all candidates. Divide each group's selected by the candidates of that group.",
        ),
        "above": (
            each(lambda g: above[g].mean()),
            "A score that equals the threshold is selected, too.",
        ),
        "precision": (
            each(lambda g: (selected & g & suited).sum() / max(1, (selected & g).sum())),
            "These are the suited among the selected. The true-positive rate starts from the other end: of the suited, "
            "how many were selected?",
        ),
        "suited and selected": (
            each(lambda g: (selected & suited)[g].mean()),
            "These are divided by all candidates of a group. The true-positive rate divides by its suited ones.",
        ),
        "suited": (each(lambda g: suited[g].mean()), "These are the shares of the suited, whoever was selected."),
    }


class Audit(Exercise):
    id = "audit"
    title = "Does the score treat both groups alike?"
    names = ("audit",)
    points = 3.0
    hints = (
        "The scores are the texts of the API: turn them into numbers first. `np.asarray(...)` makes arrays that can "
        "be compared and masked.",
        "For each group: what is counted, and among whom? Selected among the candidates of the group; selected among "
        "its suited candidates.",
        "The ratio is the lowest selection rate through the highest, whichever groups they belong to, so it never "
        "exceeds 1. Where the highest is 0 there is no ratio: None.",
    )

    @case("selection rates: of the candidates of a group, how many are selected", weight=2)
    def selection(self, answer: Answer, rng: np.random.Generator) -> None:
        for favoured in "AB":
            drawn = draw(rng, favoured=favoured)
            found, result = self._audit(answer, drawn)
            self._rates(found, "selection_rates", drawn, result)

    @case("true-positive rates: of the suited of a group, how many are selected", weight=2)
    def positives(self, answer: Answer, rng: np.random.Generator) -> None:
        for favoured in "AB":
            drawn = draw(rng, favoured=favoured)
            found, result = self._audit(answer, drawn)
            self._rates(found, "true_positive_rates", drawn, result)

    @case("the ratio: the lowest rate through the highest, whichever group is ahead", weight=2)
    def ratio(self, answer: Answer, rng: np.random.Generator) -> None:
        for groups, favoured in (("AB", "A"), ("AB", "B"), ("PQR", "Q"), ("PQR", "R")):
            drawn = draw(rng, groups, favoured)
            found, result = self._audit(answer, drawn)
            self._ratio(found["impact_ratio"], rates(drawn), result)
        score, group, suited, threshold = draw(rng)
        low = [f"{float(text) * 0.6:.4f}" if name == "B" else text for text, name in zip(score, group, strict=True)]
        found, result = self._audit(answer, (low, group, suited, threshold))
        told = (
            "One group has nobody selected and the other has: the ratio is 0, the worst there is. None would hide it."
        )
        expect(found["impact_ratio"] == 0, told, result, got=found["impact_ratio"], expected="impact_ratio: 0")

    @case("where nobody is selected there is no ratio")
    def nobody(self, answer: Answer, rng: np.random.Generator) -> None:
        score, group, suited, _ = draw(rng)
        found, result = self._audit(answer, (score, group, suited, "1.0000"))
        told = "Nobody is selected, so the ratio would be 0 through 0. Give None: nothing was measured."
        expect(found["impact_ratio"] is None, told, result, got=found["impact_ratio"], expected="impact_ratio: None")
        zero = found["selection_rates"] == {"A": 0, "B": 0}
        expect(zero, "The rates are 0 then.", result, got=found["selection_rates"], expected="0 for both groups")

    def _audit(self, answer: Answer, drawn: Drawn) -> tuple[dict[str, Any], Result]:
        result = answer.call("audit", *drawn)
        found = result.value
        form = "Give a dict with " + ", ".join(f"`{name}`" for name in KEYS) + "."
        expect(isinstance(found, dict) and set(KEYS) <= set(found), form, result, expected=", ".join(KEYS))
        for name in (KEYS[0], KEYS[2]):
            part = found[name]
            names = sorted(set(drawn[1]))
            there = isinstance(part, dict) and sorted(map(str, part)) == names and all(map(_is_number, part.values()))
            told = f"`{name}` is a dict from group to a number."
            expect(there, told, result, got=f"{name}: {part}"[:200], expected=f"a number for {', '.join(names)}")
        return found, result

    def _rates(self, found: dict[str, Any], name: str, drawn: Drawn, result: Result) -> None:
        got, wanted = found[name], rates(drawn)[name]
        if _near(got, wanted):
            return
        told = "These are not the rates."
        for other, said in _wrong_rates(drawn).values():
            if _near(got, other):
                told = said
        percent = all(_near({"": got[key] / 100}, {"": wanted[key]}) for key in wanted)
        told = "These are percents. A rate lies between 0 and 1." if percent else told
        expect(False, told, result, got=_shown(got), expected=_shown(wanted))

    def _ratio(self, got: Any, right: dict[str, Any], result: Result) -> None:
        wanted = right["impact_ratio"]
        expect(_is_number(got), "`impact_ratio` is a number.", result, got=got, expected=f"{wanted:.3f}")
        if abs(got - wanted) < 1e-6:
            return
        by_group = list(right["selection_rates"].values())
        told = "This is not the ratio of the lowest selection rate to the highest."
        turned = "The ratio is upside down: above 1 it would always pass. It is the lowest rate through the highest."
        first = "This compares two groups by their names. Which group is ahead is what the figures have to say."
        difference = "This is a difference. The four-fifths rule looks at the ratio of the two rates."
        positive = list(right["true_positive_rates"].values())
        for value, said in (
            (1 / wanted, turned),
            (by_group[-1] / by_group[0], first),
            (by_group[0] / by_group[-1], first),
            (max(by_group) - min(by_group), difference),
            (
                min(positive) / max(positive),
                "This is the ratio of the true-positive rates, not of the selection rates.",
            ),
        ):
            if abs(got - value) < 1e-6:
                told = turned if got > 1 else said
        expect(False, told, result, got=f"{got:.3f}", expected=f"{wanted:.3f}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _near(got: dict[str, float], wanted: dict[str, float]) -> bool:
    return all(abs(got[name] - wanted[name]) < 1e-6 for name in wanted)


def _shown(found: dict[str, float]) -> str:
    return ", ".join(f"{name}: {value:.3f}" for name, value in sorted(found.items()))
