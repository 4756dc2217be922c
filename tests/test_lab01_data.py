"""The recommender of lab 01: the planted structure, the model that finds it, what is plotted."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import psutil
import pytest

from checks.lab01_bundle import LIBRARIES
from checks.lab01_save_once import lab
from labkit.answer import notebook_answer
from labkit.notebook import read
from lessonkit.interactions import (
    Interactions,
    Recommender,
    fit_recommender,
    make_interactions,
    most_watched,
    recall_at,
    small_recommender,
    top_items,
)
from lessonkit.loaders import memory_of_loaders

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def interactions() -> Interactions:
    """The records of the notebook."""
    return make_interactions()


@pytest.fixture(scope="module")
def model(interactions: Interactions) -> Recommender:
    return fit_recommender(interactions, n_components=48)


def pairs(users: np.ndarray, items: np.ndarray) -> np.ndarray:
    return users.astype(np.int64) * 100_000 + items


def test_there_are_two_million_records_in_int32(interactions: Interactions) -> None:
    assert len(interactions) >= 2_000_000
    assert interactions.users.dtype == interactions.items.dtype == np.int32
    assert interactions.shape == (200_000, 2_000)
    assert len(np.unique(interactions.users)) == 200_000


def test_a_record_occurs_once_and_is_not_held_out_too(interactions: Interactions) -> None:
    learned = pairs(interactions.users, interactions.items)
    held = pairs(interactions.held_users, interactions.held_items)
    assert (np.diff(learned) > 0).all()
    assert len(np.unique(interactions.held_users)) == len(held) == 5_000
    assert not np.isin(held, learned).any()


def test_seeds_decide() -> None:
    one, same, other = (make_interactions(500, 120, 6, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.items, same.items) and np.array_equal(one.held_items, same.held_items)
    assert not np.array_equal(one.items[:500], other.items[:500])
    assert not np.allclose(small_recommender(1).user_factors, small_recommender(2).user_factors)


def test_three_draws_in_four_come_from_the_own_group() -> None:
    """Where films are so many that hardly one is drawn twice, the share shows itself undimmed."""
    drawn = make_interactions(5_000, 40_000, 40)
    own = drawn.item_group[drawn.items] == drawn.user_group[drawn.users]
    assert own.mean() == pytest.approx(0.75 + 0.25 * (1 / 40), abs=0.02)


def test_few_films_of_a_group_are_watched_often(interactions: Interactions) -> None:
    watched = np.bincount(interactions.items, minlength=2_000)
    for group in range(40):
        counts = np.sort(watched[interactions.item_group == group])[::-1]
        assert len(counts) == 50
        assert counts[0] > 5 * counts[-1]


def test_groups_must_divide_the_films() -> None:
    with pytest.raises(ValueError, match=r"n_items \(100\) must be a multiple of n_groups \(40\)"):
        make_interactions(10, 100, 40)


def test_model_beats_the_most_watched_by_far(interactions: Interactions, model: Recommender) -> None:
    users, films = interactions.held_users, interactions.held_items
    recall = recall_at(10, model.recommend(users), films)
    baseline = recall_at(10, most_watched(model, users), films)
    assert recall == pytest.approx(0.39, abs=0.005) and baseline == pytest.approx(0.045, abs=0.005)
    assert recall > 8 * baseline


def test_plotted_similarity_shows_the_planted_groups(interactions: Interactions, model: Recommender) -> None:
    factors = model.svd.components_.T / np.linalg.norm(model.svd.components_, axis=0)[:, None]
    films = np.argsort(interactions.item_group, kind="stable")[:250]
    similarity = factors[films] @ factors[films].T
    groups = interactions.item_group[films]
    same = groups[:, None] == groups
    assert np.bincount(groups).tolist() == [50] * 5
    assert np.median(similarity[same]) > 0.95 and abs(np.median(similarity[~same])) < 0.05
    # The pale lines: films unlike their group are the best known of it.
    typical = np.nanmedian(np.where(same, similarity, np.nan), axis=1)
    watched = np.bincount(interactions.items, minlength=2_000)[films]
    for film in np.flatnonzero(typical < 0.5):
        better_known = (watched > watched[film]) & (groups == groups[film])
        assert better_known.sum() <= 2
    assert 3 <= (typical < 0.5).sum() <= 10


def test_scores_are_factors_times_factors_and_histories_give_the_factors(
    model: Recommender,
) -> None:
    users = [3, 70_000, 199_999]
    histories = model.histories(users)
    assert histories.dtype == np.float32 and set(np.unique(histories)) == {0, 1}
    factors = histories @ model.svd.components_.T
    assert np.allclose(factors, model.user_factors[users], atol=1e-4)
    assert np.allclose(model.scores(users), factors @ model.svd.components_, atol=1e-4)


def test_recommended_are_the_best_scores_not_yet_watched() -> None:
    model = small_recommender(5)
    users = [0, 17, 399]
    for user, films in zip(users, model.recommend(users, 7).tolist(), strict=True):
        scores = model.user_factors[user] @ model.svd.components_
        watched = set(np.flatnonzero(model.histories([user])[0]).tolist())
        best = [film for film in np.argsort(-scores).tolist() if film not in watched]
        assert films == best[:7]


def test_top_items_and_recall_by_hand() -> None:
    scores = np.array([[0.1, 0.9, 0.5, 0.7], [4.0, 3.0, 2.0, 1.0]])
    histories = np.array([[0, 1, 0, 0], [0, 0, 0, 0]])
    best = top_items(scores, histories, k=2)
    assert best.tolist() == [[3, 2], [0, 1]]
    assert recall_at(2, best, np.array([2, 3])) == 0.5
    assert recall_at(1, best, np.array([2, 3])) == 0.0


def test_forget_sets_a_users_factors_to_zero() -> None:
    model = small_recommender(5)
    model.forget(9)
    assert not model.user_factors[9].any() and model.user_factors[8].any()


def test_withdraw_sets_a_films_factors_to_zero() -> None:
    model = small_recommender(5)
    model.withdraw(9)
    components = model.svd.components_
    assert not components[:, 9].any() and components[:, 8].any()


def test_small_recommenders_come_in_sizes() -> None:
    model = small_recommender(5, n_films=48, n_components=4)
    assert model.svd.components_.shape == (4, 48) and model.user_factors.shape == (400, 4)


@pytest.mark.parametrize(("exercise", "name"), [("export", "export_onnx"), ("parity", "parity")])
def test_a_missing_run_onnx_is_no_attempt(exercise: str, name: str) -> None:
    with notebook_answer({name: lambda *_: None}) as answer:
        report = lab.judge(exercise, answer)
    assert report.outcome == "not attempted"
    assert report.message.startswith("`run_onnx` is not defined: run its cell")


def test_the_notebook_and_the_check_name_the_same_libraries() -> None:
    notebook = read(ROOT / "solutions/lab01_save_once/lab01_save_once.ipynb")
    source = next(part.source for part in notebook.setup if "LIBRARIES" in part.source)
    line = next(line for line in source.splitlines() if line.startswith("LIBRARIES = "))
    assert ast.literal_eval(line.removeprefix("LIBRARIES = ")) == list(LIBRARIES)


def test_set_up_takes_nothing_but_the_lab_from_its_checks() -> None:
    """A grader runs the set-up where the checks are absent."""
    notebook = read(ROOT / "solutions/lab01_save_once/lab01_save_once.ipynb")
    taken = [
        alias.name
        for part in notebook.setup
        for node in ast.walk(ast.parse(part.source))
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "checks"
        for alias in node.names
    ]
    assert taken == ["lab"]


def load_copied(folder: str) -> Recommender:
    return joblib.load(Path(folder) / "model.joblib")


def load_mapped(folder: str) -> Recommender:
    return joblib.load(Path(folder) / "model.joblib", mmap_mode="r")


def load_nothing(folder: str) -> Recommender:
    raise FileNotFoundError(f"no model in {folder}")


def load_unwritten(folder: str) -> Recommender:
    raise NotImplementedError()


def by_value(load: Callable[[str], Recommender]) -> Callable[[str], Recommender]:
    """The function as a notebook would define it, which a fresh process cannot import."""
    load.__module__ = "__main__"
    return load


def test_mapped_processes_share_one_copy(model: Recommender, tmp_path: Path) -> None:
    joblib.dump(model, tmp_path / "model.joblib")
    size = (tmp_path / "model.joblib").stat().st_size / 2**20
    copied = memory_of_loaders(by_value(load_copied), tmp_path, processes=2)
    mapped = memory_of_loaders(by_value(load_mapped), tmp_path, processes=2)
    assert len(copied) == len(mapped) == 2
    assert min(copied) > 0.9 * size
    assert max(mapped) < 0.7 * size


def test_a_load_that_fails_is_told_and_leaves_no_process(tmp_path: Path) -> None:
    before = psutil.Process().children()
    with pytest.raises(RuntimeError, match="FileNotFoundError: no model in "):
        memory_of_loaders(by_value(load_nothing), tmp_path, processes=2)
    assert psutil.Process().children() == before


def test_a_load_that_is_not_written_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="not written yet"):
        memory_of_loaders(by_value(load_unwritten), tmp_path, processes=1)
