"""Error messages get the name of their file once and keep the name of their setting."""

import pickle

import pytest

from pytorch_sketch_rnn.errors import (
    LONGEST_LINE,
    BadInput,
    Refused,
    enumerated,
    excerpt,
    naming,
    run_command,
    within,
)


def test_messages_get_the_file_and_its_part_as_a_prefix():
    with pytest.raises(BadInput) as caught, naming("a.npz"), within("train.npy"), within("sketch 3"):
        raise Refused("expected numbers, got text")
    assert str(caught.value) == "a.npz: train.npy: sketch 3: expected numbers, got text"
    assert type(caught.value) is BadInput
    assert caught.value.__suppress_context__


def test_a_message_that_names_its_file_is_not_named_again():
    with pytest.raises(BadInput, match=r"^a\.npz: no good$"), naming("out"), within("part"), naming("a.npz"):
        raise Refused("no good")


def test_other_exceptions_pass():
    for error in (ZeroDivisionError("a fault"), OSError(2, "No such file", "b.npz")):
        with pytest.raises(type(error)) as caught, naming("a.npz"), within("part"):
            raise error
        assert caught.value is error


def test_naming_and_pickling_keep_the_name_of_the_setting():
    assert BadInput("no good").name is None
    with pytest.raises(BadInput) as caught, naming("config.json"), within("sizes"):
        raise Refused("z_size is 0, expected at least 1", name="z_size")
    copy = pickle.loads(pickle.dumps(caught.value))
    for error in (caught.value, copy):
        assert (str(error), error.name) == ("config.json: sizes: z_size is 0, expected at least 1", "z_size")


def test_a_message_is_one_line_without_control_characters():
    message = str(BadInput("a.npz: got 'x\nerror: y\r\x1b[31m\x7f\u202e\x00\u2028z', expected é and 字"))
    assert message == r"a.npz: got 'x\nerror: y\r\x1b[31m\x7f\u202e\x00\u2028z', expected é and 字"
    assert str(BadInput(message)) == message  # it may be put into another message


def test_a_long_message_keeps_the_file_at_its_start_and_the_advice_at_its_end():
    message = str(BadInput(f"a.npz: got {'x' * 5000}, expected a number; do this"))
    assert len(message) == LONGEST_LINE
    assert message.startswith("a.npz: got xxx")
    assert message.endswith("xxx, expected a number; do this")
    assert " ... " in message


def test_a_name_in_an_error_of_the_system_is_escaped(capsys):
    def main(_: list[str]) -> int:
        raise PermissionError(13, "Permission denied", "a\n\x1b[31mb")

    assert run_command(main, []) == 2
    assert capsys.readouterr().err == "error: a\\n\\x1b[31mb: cannot be used (Permission denied)\n"


def test_an_excerpt_shows_the_start_of_a_value():
    assert excerpt("a\n") == r"'a\n'"
    assert excerpt("x" * 200) == "'" + "x" * 99 + "..."
    nested: list = []
    for _ in range(100_000):
        nested = [nested]
    assert excerpt(nested) == "a deeply nested list"
    while nested:  # freed step by step
        nested = nested.pop()


def test_a_list_of_names_says_how_many_it_leaves_out():
    assert enumerated(["a", "b"]) == "a, b"
    assert enumerated(map(str, range(13))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"
    assert len(enumerated(["x" * 5000] * 3, 2)) < 500
