"""Attacks that are no call of a function: on the platform's own channels, its books and what all cells share.

Each line names the test that stops it and its control, which does the same without what stops it; the page
docs/attacks.md has them as its second table.
"""

from __future__ import annotations

from dataclasses import dataclass

DESK = "tests/unit/warden/leases/test_desk.py"
FRONT = "tests/escape/test_front_attacks.py"
SUMS = "tests/fault/test_sums.py"
ENDINGS = "tests/fault/test_every_ending.py"
FILES = "tests/fault/test_files_sum.py"
DESK_CONTROLS = "tests/unit/warden/leases/test_desk_controls.py"
OLD_BOOKS = (
    "tests/fault/test_endings_controls.py"
    "::test_control_with_books_as_they_were_both_take_all_places_and_another_space_gets_none"
)
BOOKS = "tests/unit/warden/leases/test_accounts.py"
MALFORMED = f"{DESK}::test_what_no_front_says_costs_it_its_link_and_its_cells_and_the_warden_no_descriptor"
UNCHECKED = f"{DESK}::test_control_without_the_table_the_same_is_taken_or_an_error_and_the_descriptors_stay"


@dataclass(frozen=True)
class Case:
    """``who`` tries ``name``; ``stopped_by`` in a few words; the control's test."""

    who: str
    name: str
    stopped_by: str
    test: str
    control: str


CASES = (
    Case(
        "front",
        "ask for 1 TiB, a billion processes and cores, and the host's network",
        "the warden's ceilings",
        f"{DESK}::test_ceilings_are_the_wardens_whatever_a_front_asks_for",
        f"{DESK}::test_control_without_the_wardens_ceilings_it_is_granted_all_of_it",
    ),
    Case(
        "front",
        "leave eight descriptors with each of forty-seven malformed messages",
        "the table of words",
        MALFORMED,
        UNCHECKED,
    ),
    Case(
        "front",
        "name a bundle by ../, a cell by a path, a signal by its number",
        "the table of words",
        MALFORMED,
        UNCHECKED,
    ),
    Case(
        "front",
        "send what the decoder cannot bear: deep, cut, huge, no UTF-8",
        "the table of words",
        MALFORMED,
        UNCHECKED,
    ),
    Case(
        "front",
        "tell another front rows that break its reader, or that are the warden's",
        "the table of words",
        MALFORMED,
        UNCHECKED,
    ),
    Case(
        "front",
        "go on after it was found out",
        "its process is ended by its descriptor",
        f"{FRONT}::test_a_front_that_says_what_no_front_says_is_replaced_and_the_other_goes_on",
        f"{FRONT}::test_control_unchecked_all_descriptors_stay_in_the_warden_and_the_front_goes_on",
    ),
    Case(
        "front",
        "hand back other pipes than it was lent, for another front to use",
        "their inodes and modes",
        f"{DESK}::test_a_front_can_hand_back_no_other_pipes_than_it_was_lent",
        f"{DESK}::test_control_without_the_look_at_pipes_another_front_gets_what_was_made_up",
    ),
    Case(
        "front",
        "make the next holder of a pipe wait on it",
        "it is opened anew",
        f"{DESK}::test_whoever_had_a_pipe_before_cannot_make_the_next_holder_wait_on_it",
        f"{DESK}::test_control_a_pipe_that_is_not_opened_anew_has_the_former_holders_flags",
    ),
    Case(
        "front",
        "kill, signal or return a cell of another front",
        "cells are looked up among its own",
        f"{DESK}::test_a_front_reaches_no_cell_of_another",
        f"{DESK_CONTROLS}::test_control_where_whose_a_cell_is_is_not_looked_up_a_front_kills_that_of_another",
    ),
    Case(
        "front",
        "flood its link so that the others are not heard",
        "a budget of each turn, bounds on what waits",
        f"{DESK}::test_a_flood_of_one_front_leaves_the_others_their_turns",
        f"{DESK}::test_control_without_the_budget_of_a_turn_everything_that_waits_is_taken_in_one",
    ),
    Case(
        "front",
        "have zygotes replaced without end",
        "one at a time",
        f"{FRONT}::test_a_front_that_has_zygotes_replaced_without_end_gets_one_at_a_time",
        f"{FRONT}::test_control_without_one_at_a_time_there_are_as_many_zygotes_as_were_asked_for",
    ),
    Case(
        "front",
        "plant a link, a pipe or a file where the warden opens bundles",
        "O_NOFOLLOW, openat2",
        f"{DESK}::test_what_a_front_plants_for_the_warden_to_open_is_neither_followed_nor_waited_for",
        f"{DESK}::test_control_a_plain_open_follows_the_link",
    ),
    Case(
        "front",
        "put a pipe into a bundle that is copied",
        "O_NONBLOCK, regular files only",
        f"{DESK}::test_a_pipe_in_a_bundle_that_is_copied_is_an_error_at_once",
        f"{DESK_CONTROLS}::test_control_a_copy_that_waits_and_takes_any_file_takes_what_a_pipe_says_when_it_is_said",
    ),
    Case(
        "tenant",
        "die by each signal and exit code, two hundred times",
        "books first, no look-up that raises",
        f"{ENDINGS}::test_after_two_hundred_deaths_another_space_is_answered_as_fast_as_before",
        OLD_BOOKS,
    ),
    Case(
        "tenant",
        "have a template report a status that no process has",
        "books first, no look-up that raises",
        f"{ENDINGS}::test_whatever_a_template_says_of_its_calls_process_costs_its_own_cell_only",
        OLD_BOOKS,
    ),
    Case(
        "tenant",
        "close its channel and go on, as another program or in the background",
        "it is killed when nobody reaps it",
        "tests/fault/test_cells_that_die.py"
        "::test_a_process_that_closes_its_channel_and_goes_on_is_killed_and_keeps_no_place",
        "tests/fault/test_endings_controls.py"
        "::test_control_given_up_but_not_killed_a_process_without_its_channel_goes_on_and_keeps_its_place",
    ),
    Case(
        "tenant",
        "keep a place by an error at any line of its end",
        "every step is taken, books are mended",
        f"{BOOKS}::test_an_error_at_any_line_of_an_end_costs_no_place_and_no_other_end",
        f"{BOOKS}::test_control_where_the_first_error_is_the_last_step_such_an_error_keeps_a_place",
    ),
    Case(
        "tenant",
        "leave dying memory groups behind in the kernel",
        "pages are given up first",
        "tests/fault/test_dying_groups.py::test_cells_that_read_pages_anew_leave_no_dying_groups_behind",
        "tests/fault/test_dying_groups.py::test_control_without_giving_their_pages_up_they_stay",
    ),
    Case(
        "tenant",
        "queue the signals that the host's processes need",
        "32 a cell, half of root's for all",
        f"{SUMS}::test_signals_that_wait_in_cells_leave_the_hosts_processes_their_half",
        f"{SUMS}::test_control_without_both_bounds_cells_take_all_and_the_host_is_refused",
    ),
    Case(
        "tenant",
        "take the host's processes by many functions",
        "the group that all cells are in",
        f"{SUMS}::test_processes_of_all_cells_together_stay_within_their_sum",
        f"{SUMS}::test_control_without_the_sum_they_have_what_each_may_have",
    ),
    Case(
        "tenant",
        "take the host's memory by many functions",
        "the group that all cells are in",
        f"{SUMS}::test_memory_of_all_cells_together_stays_within_its_sum_and_who_has_little_lives",
        f"{SUMS}::test_control_without_the_sum_of_memory_they_take_more",
    ),
    Case(
        "tenant",
        "open the host's files by many processes and functions",
        "a product, and the guard of file-max",
        f"{FILES}::test_a_function_that_opens_most_of_the_hosts_files_ends_and_who_has_few_lives",
        f"{FILES}::test_control_without_the_guard_and_the_product_it_has_more_than_the_host",
    ),
)

HEAD = """
## Beside cells

What is tried without a call, or by many at once: by a front that was taken over, on the platform's own
channels, and by tenants on what all cells share. From `tests/escape/beside_cells.py`, which names the test of
each; *control* says that another does the same without what stops it, and succeeds.

| by | case | stopped by | control |
|---|---|---|---|
"""


def section() -> str:
    """The page's second table."""
    rows = (f"| {case.who} | {case.name} | {case.stopped_by} | succeeds |" for case in CASES)
    return HEAD + "\n".join(rows) + "\n"
