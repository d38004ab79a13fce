"""The official pretrained models, by name and address.

Sources: the README of Magenta's ``sketch_rnn`` (an archive of TensorFlow checkpoints) and Magenta's demos of
``@magenta/sketch`` (one file of sketch-rnn-js for each model). None of them was seen to have a checksum.
"""

import difflib
from typing import NamedTuple

from pytorch_sketch_rnn.errors import BadInput, enumerated

PREFIX = "zoo:"
ARCHIVE = "http://download.magenta.tensorflow.org/models/sketch_rnn.zip"
QUICKDRAW = "https://storage.googleapis.com/quickdraw-models/sketchRNN/models"

# folders of the archive; those with an encoder reconstruct and interpolate, those called uncond draw only
CHECKPOINTS = (
    "aaron_sheep/layer_norm", "aaron_sheep/layer_norm_uncond", "aaron_sheep/lstm", "aaron_sheep/lstm_uncond",
    "catbus/lstm", "elephantpig/lstm", "flamingo/lstm_uncond", "owl/lstm",
)  # fmt: skip
# decoders of QuickDraw drawings
DRAWERS = (
    "alarm_clock", "ambulance", "angel", "ant", "antyoga", "backpack", "barn", "basket", "bear", "bee",
    "beeflower", "bicycle", "bird", "book", "brain", "bridge", "bulldozer", "bus", "butterfly", "cactus",
    "calendar", "castle", "cat", "catbus", "catpig", "chair", "couch", "crab", "crabchair", "crabrabbitfacepig",
    "cruise_ship", "diving_board", "dog", "dogbunny", "dolphin", "duck", "elephant", "elephantpig", "everything",
    "eye", "face", "fan", "fire_hydrant", "firetruck", "flamingo", "flower", "floweryoga", "frog", "frogsofa",
    "garden", "hand", "hedgeberry", "hedgehog", "helicopter", "kangaroo", "key", "lantern", "lighthouse", "lion",
    "lionsheep", "lobster", "map", "mermaid", "monapassport", "monkey", "mosquito", "octopus", "owl",
    "paintbrush", "palm_tree", "parrot", "passport", "peas", "penguin", "pig", "pigsheep", "pineapple", "pool",
    "postcard", "power_outlet", "rabbit", "rabbitturtle", "radio", "radioface", "rain", "rhinoceros", "rifle",
    "roller_coaster", "sandwich", "scorpion", "sea_turtle", "sheep", "skull", "snail", "snowflake", "speedboat",
    "spider", "squirrel", "steak", "stove", "strawberry", "swan", "swing_set", "the_mona_lisa", "tiger",
    "toothbrush", "toothpaste", "tractor", "trombone", "truck", "whale", "windmill", "yoga", "yogabicycle",
)  # fmt: skip


class Address(NamedTuple):
    """Where a model is."""

    url: str
    member: str | None = None  # its folder, if the URL is that of an archive


def names() -> list[str]:
    """The names of all models, those with a TensorFlow checkpoint first."""
    return [*CHECKPOINTS, *DRAWERS]


def address(name: str) -> Address:
    """Where the model of that name is.

    Raises:
        BadInput: when there is none.
    """
    if name in CHECKPOINTS:
        return Address(ARCHIVE, name)
    if name in DRAWERS:
        return Address(f"{QUICKDRAW}/{name}.gen.json")
    alike = difflib.get_close_matches(name, names())
    hint = f"; there is {enumerated(alike)}" if alike else ""
    raise BadInput(f"{PREFIX}{name}: no official model has this name{hint}; python -m weight_port zoo lists them all")
