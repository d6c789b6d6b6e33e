"""A receipt is found again from what people type, and a slip of the pen never leads to someone else's case."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.offices import OFFICES, Office
from events.receipt import (
    ALPHABET,
    InvalidReceipt,
    case_id,
    command_id,
    event_id,
    keyed_hash,
    office_of,
    parse_receipt,
    receipt,
)

KEY, OTHER_KEY = b"k" * 32, b"j" * 32
PULOMERAK = OFFICES["367203"]
RECEIPT = receipt(KEY, PULOMERAK, "command")
SOME = [receipt(KEY, office, str(n)) for office in OFFICES.values() for n in range(3)]


def is_unknown(text: str) -> bool:
    try:
        parse_receipt(text)
    except InvalidReceipt:
        return True
    return False


def test_a_receipt_that_was_issued_stays_valid() -> None:
    assert parse_receipt("PM-ZC7N-G150-Q21YT") == "PM-ZC7N-G150-Q21YT"


def test_the_same_command_finds_the_same_receipt() -> None:
    assert receipt(KEY, PULOMERAK, "command") == RECEIPT
    assert [len(part) for part in RECEIPT.split("-")] == [2, 4, 4, 5]


@given(st.sampled_from(list(OFFICES.values())), st.text(max_size=40))
def test_every_receipt_is_of_its_office_and_reads_as_itself(office: Office, case: str) -> None:
    made = receipt(KEY, office, case)
    assert parse_receipt(made) == made
    assert office_of(made) == office


@pytest.mark.parametrize("printed", SOME[:8])
def test_people_may_type_it_in_any_case_with_blanks_and_without_hyphens(printed: str) -> None:
    plain = printed.replace("-", "")
    for typed in (printed.lower(), plain, plain.lower(), f" {printed} ", printed.replace("-", " - "), " ".join(plain)):
        assert parse_receipt(typed) == printed


def test_people_may_read_0_as_o_and_1_as_i_or_l() -> None:
    confusing = [made for made in (receipt(KEY, PULOMERAK, str(n)) for n in range(40)) if {"0", "1"} & set(made)]
    assert {"0", "1"} <= set("".join(confusing))
    for made in confusing:
        mark, body = made[:3], made[3:]
        for typed in (body.replace("0", "O"), body.replace("1", "I"), body.replace("1", "l"), body.replace("0", "o")):
            assert parse_receipt(mark + typed) == made


@pytest.mark.parametrize("printed", SOME)
def test_every_single_wrong_character_is_noticed(printed: str) -> None:
    chars = printed.replace("-", "")
    for place, right in enumerate(chars):
        for wrong in set(ALPHABET + "U*") - {right}:
            assert is_unknown(chars[:place] + wrong + chars[place + 1 :]), (printed, place, wrong)


@pytest.mark.parametrize("printed", SOME)
def test_every_swap_of_two_neighbours_is_noticed(printed: str) -> None:
    chars = printed.replace("-", "")
    for place, (left, right) in enumerate(pairwise(chars)):
        swapped = chars[:place] + right + left + chars[place + 2 :]
        assert swapped == chars or is_unknown(swapped), (printed, place)


def test_a_character_too_few_or_too_many_is_noticed() -> None:
    chars = RECEIPT.replace("-", "")
    assert all(is_unknown(chars[:place] + chars[place + 1 :]) for place in range(len(chars)))
    assert all(is_unknown(chars + extra) for extra in ALPHABET)


@pytest.mark.parametrize("text", ["", "-", "PM", "XX" + RECEIPT[2:], "pm-0000-0000-000Z0", "é" * 15, "PM-" + "０" * 13])  # noqa: RUF001
def test_what_is_no_receipt_of_this_backbone_gets_the_same_answer(text: str) -> None:
    with pytest.raises(InvalidReceipt) as refused:
        parse_receipt(text)
    assert refused.value.document() == InvalidReceipt().document()


def test_without_the_secret_nobody_can_derive_a_receipt_or_an_id() -> None:
    assert receipt(OTHER_KEY, PULOMERAK, "command") != RECEIPT
    assert command_id(KEY, "print", RECEIPT, "1") != command_id(OTHER_KEY, "print", RECEIPT, "1")


def test_another_office_or_another_command_is_another_receipt() -> None:
    same_parts = {receipt(KEY, office, "command")[3:] for office in OFFICES.values()}
    assert len(same_parts) == len(OFFICES)
    assert receipt(KEY, PULOMERAK, "other command") != RECEIPT


def test_ten_thousand_receipts_are_different_and_use_all_60_bits_evenly() -> None:
    bodies = [receipt(KEY, PULOMERAK, str(n)).replace("-", "")[2:14] for n in range(10_000)]
    assert len(set(bodies)) == 10_000
    for place in range(12):
        counts = Counter(body[place] for body in bodies)
        assert set(counts) == set(ALPHABET)
        # 312.5 of each are expected; chi-squared with 31 degrees of freedom is above 80 once in 3 million times
        assert sum((counts[char] - 312.5) ** 2 / 312.5 for char in ALPHABET) < 80, place


@given(st.lists(st.text(max_size=4), max_size=4), st.lists(st.text(max_size=4), max_size=4))
def test_a_hash_tells_apart_where_one_part_ends(a: list[str], b: list[str]) -> None:
    assert (keyed_hash(KEY, *a) == keyed_hash(KEY, *b)) == (a == b)


@pytest.mark.parametrize(
    ("a", "b"), [(("a", "bc"), ("ab", "c")), (("a",), ("a", "")), (('a","b',), ("a", "b")), (("1:a",), ("1", "a"))]
)
def test_parts_that_join_to_the_same_text_are_still_different(a: tuple[str, ...], b: tuple[str, ...]) -> None:
    assert keyed_hash(KEY, *a) != keyed_hash(KEY, *b)
    assert command_id(KEY, *a, *["x"] * (3 - len(a))) != command_id(KEY, *b, *["x"] * (3 - len(b)))


@pytest.mark.parametrize("size", [8, 12, 16, 32])
def test_a_hash_is_as_long_as_asked_and_stays_the_same(size: int) -> None:
    assert len(keyed_hash(KEY, "a", size=size)) == size
    assert keyed_hash(KEY, "a", size=size) == keyed_hash(KEY, "a", size=size)


def test_a_command_is_known_by_its_name_its_place_and_its_key() -> None:
    ids = {command_id(KEY, *of) for of in [("print", RECEIPT, "1"), ("queue", RECEIPT, "1"), ("print", SOME[0], "1")]}
    ids |= {command_id(KEY, "print", RECEIPT, "2"), command_id(KEY, "print", RECEIPT, "1")}
    assert len(ids) == 4
    assert all(len(id_) == 32 and int(id_, 16) for id_ in ids)


def test_each_event_of_a_command_has_its_own_id() -> None:
    command = command_id(KEY, "print", RECEIPT, "1")
    ids = {event_id(command, 0), event_id(command, 1), event_id(command_id(KEY, "print", RECEIPT, "2"), 0)}
    assert len(ids) == 3
    assert event_id(command, 0) in ids
    assert all(len(id_) == 32 and int(id_, 16) for id_ in ids)


def test_a_case_is_named_without_its_receipt_and_fits_into_a_subject() -> None:
    names = {case_id(made) for made in SOME}
    assert len(names) == len(SOME)
    for name, made in zip(map(case_id, SOME), SOME, strict=True):
        assert name.isascii()
        assert name.isalnum()
        assert made.replace("-", "").lower() not in name
