"""Synthetic film interactions with a planted structure, and a recommender factorised from them.

Nobody watched these films: every record is drawn from a seeded generator. Because the structure
is planted, what the factorisation finds can be compared with what was put in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from sklearn.decomposition import TruncatedSVD

OWN_TASTE = 0.75  # the share of a user's films that come from the user's own taste group
FEWEST = 5  # films that each user draws at least
HELD_OUT_EVERY = 40
SEED = 2013


@dataclass(frozen=True)
class Interactions:
    """Who watched what. One user and one film meet at most once.

    Attributes
    ----------
    users, items
        int32 columns of one length: the records to learn from, sorted by user, then film.
    held_users, held_items
        int32 columns: one record of some users, kept out of the columns above.
    user_group, item_group
        The planted taste group of each user and each film.
    seed
        What the generator was started with.
    """

    users: np.ndarray
    items: np.ndarray
    held_users: np.ndarray
    held_items: np.ndarray
    user_group: np.ndarray
    item_group: np.ndarray
    seed: int

    @property
    def shape(self) -> tuple[int, int]:
        """(number of users, number of films)."""
        return len(self.user_group), len(self.item_group)

    def __len__(self) -> int:
        return len(self.users)

    def matrix(self) -> csr_array:
        """Users in rows, films in columns, float32: 1 where the user watched the film."""
        return csr_array((np.ones(len(self), np.float32), (self.users, self.items)), shape=self.shape)


def make_interactions(
    n_users: int = 200_000,
    n_items: int = 2_000,
    n_groups: int = 40,
    *,
    mean_films: float = 17,
    seed: int = SEED,
) -> Interactions:
    """Draw synthetic interactions; the defaults give more than 2,000,000 records.

    Each user belongs to one of `n_groups` taste groups and so does each film. Three draws in four
    are films of the user's own group, the rest come from all groups; in a group, few films
    are watched often and many seldom (rank to the power of -0.8).

    Parameters
    ----------
    n_users, n_items, n_groups
        `n_items` must be a multiple of `n_groups`.
    mean_films
        Draws for each user on average; a film drawn twice counts once, so fewer remain.
    seed
        Equal seeds give equal records.
    """
    if n_items % n_groups:
        raise ValueError(f"n_items ({n_items}) must be a multiple of n_groups ({n_groups})")
    rng = np.random.default_rng(seed)
    in_group = n_items // n_groups
    sizes = np.arange(1, n_groups + 1) ** -0.3
    ranks = np.arange(1, in_group + 1) ** -0.8
    user_group = _draw(rng, sizes, n_users)
    films = rng.permutation(n_items).astype(np.int32).reshape(n_groups, in_group)  # by group, best known first
    item_group = np.empty(n_items, np.int32)
    item_group[films] = np.arange(n_groups)[:, None]

    drawn = FEWEST + rng.poisson(rng.exponential(mean_films - FEWEST, n_users))
    users = np.repeat(np.arange(n_users, dtype=np.int32), drawn)
    groups = np.where(rng.random(len(users)) < OWN_TASTE, user_group[users], _draw(rng, sizes, len(users)))
    items = films[groups, _draw(rng, ranks, len(users))]
    pairs = np.sort(users.astype(np.int64) * n_items + items)
    pairs = pairs[np.append(True, pairs[1:] != pairs[:-1])]  # np.unique hashes, which takes sixty times as long
    users, items = (column.astype(np.int32) for column in np.divmod(pairs, n_items))

    # One record of every HELD_OUT_EVERY-th user is held out; the user keeps at least one other.
    chosen = np.arange(0, n_users, HELD_OUT_EVERY)
    starts = np.searchsorted(users, chosen)
    counts = np.searchsorted(users, chosen, side="right") - starts
    held = (starts + rng.integers(counts))[counts > 1]
    keep = np.ones(len(users), bool)
    keep[held] = False
    return Interactions(users[keep], items[keep], users[held], items[held], user_group, item_group, seed)


def _draw(rng: np.random.Generator, weights: np.ndarray, size: int) -> np.ndarray:
    """int32 indices drawn in proportion to the weights."""
    edges = np.cumsum(weights / weights.sum())[:-1]
    return np.searchsorted(edges, rng.random(size), side="right").astype(np.int32)


@dataclass
class Recommender:
    """A factorised matrix of users and films.

    Attributes
    ----------
    svd
        The fitted TruncatedSVD; `svd.components_` holds the films' factors, (components, films).
    user_factors
        (users, components) float32.
    seen
        The matrix it was fitted on: what each user has watched, which is not recommended again.
    """

    svd: TruncatedSVD
    user_factors: np.ndarray
    seen: csr_array

    def scores(self, users: np.ndarray | list[int]) -> np.ndarray:
        """(users, films) float32: the higher, the better the film suits the user."""
        return self.user_factors[users] @ self.svd.components_

    def histories(self, users: np.ndarray | list[int]) -> np.ndarray:
        """(users, films) float32: 1 where the user watched the film."""
        return self.seen[users].toarray()

    def recommend(self, users: np.ndarray | list[int], k: int = 10) -> np.ndarray:
        """(users, k) ids of the best films a user has not watched, best first."""
        return top_items(self.scores(users), self.histories(users), k)

    def forget(self, user: int) -> None:
        """Set one user's factors to zero, in place."""
        self.user_factors[user] = 0

    def withdraw(self, film: int) -> None:
        """Set one film's factors to zero, in place."""
        self.svd.components_[:, film] = 0


def fit_recommender(interactions: Interactions, n_components: int = 48, seed: int = 0) -> Recommender:
    """Factorise the interactions: histories (users, films) @ components.T are users' factors."""
    seen = interactions.matrix()
    svd = TruncatedSVD(n_components, n_iter=3, random_state=seed).fit(seen)
    return Recommender(svd, svd.transform(seen), seen)


def small_recommender(seed: int, n_films: int = 120, n_components: int = 8) -> Recommender:
    """A recommender of 400 users, fitted in a moment; each seed gives another. `n_films` is a multiple of 6."""
    interactions = make_interactions(400, n_films, 6, mean_films=14, seed=seed)
    return fit_recommender(interactions, n_components, seed)


def top_items(scores: np.ndarray, histories: np.ndarray, k: int = 10) -> np.ndarray:
    """(rows, k) ids of the highest scores in each row, best first, without what the history holds.

    Parameters
    ----------
    scores, histories
        (rows, films) each; a history is above 0 where the film was watched.
    """
    open_scores = np.where(histories > 0, -np.inf, scores)
    best = np.argpartition(-open_scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(open_scores, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)


def recall_at(k: int, recommended: np.ndarray, held_items: np.ndarray) -> float:
    """The share of held-out films that stand among the first k recommended to their user."""
    return float((recommended[:, :k] == held_items[:, None]).any(axis=1).mean())


def most_watched(model: Recommender, users: np.ndarray, k: int = 10) -> np.ndarray:
    """(users, k) ids of the films watched most that the user has not watched: the baseline."""
    watched = np.asarray(model.seen.sum(axis=0))
    return top_items(np.broadcast_to(watched, (len(users), len(watched))), model.histories(users), k)
