"""What strangers may leave where a file is expected: pointers, pages, pipes and devices."""

import os
from pathlib import Path

POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    b"size 12345\n"
)
PAGES = {
    "a page": b"<!DOCTYPE html>\n<html><head><title>bird.gen.json</title>",
    "a page in lower case": b"\xef\xbb\xbf\n  <!doctype html><html>",
    "a page with a comment": b"<!-- saved -->\n<HTML lang=en>",
    "an error of a storage service": b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>AccessDenied</Code></Error>",
}
# What is made at a path, and what the message must say.
STAND_INS = {"a pointer": (POINTER, "git lfs pull"), "a page": (PAGES["a page"], "is a web page")}


def make_pipe(path: Path) -> Path:
    """A named pipe to which nobody writes: opening it in the usual way would block."""
    os.mkfifo(path)
    return path


def make_device(path: Path) -> Path:
    """A link to a device that can be read without end."""
    path.symlink_to("/dev/zero")
    return path
