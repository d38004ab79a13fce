"""Error messages get the name of their file once and keep the name of their setting."""

import pickle

import pytest

from pytorch_sketch_rnn.errors import BadInput, Refused, naming, within


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
