"""What the report says of the machine and the libraries of either side."""

import numpy as np
import pytest
import torch

from parity_tests.record import machine
from parity_tests.record.machine import in_words, processor, vector_instructions
from parity_tests.report import provenance
from parity_tests.report.provenance import linear_algebra, our_provenance

INTEL = """processor\t: 0
model name\t: Owl(R) 7
flags\t\t: fpu sse4_2 fma avx avx2 avx512f avx512_vnni amx_tile rdrand
processor\t: 1
"""
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp sve atomics\n"
MKL = "  - Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build 2024\n  - Intel(R) MKL-DNN v3.12.0 (Git\n"
THEIRS = {
    "versions": {"tensorflow": "2.21.0"},
    "linear algebra": "Eigen, oneDNN on",
    "vector instructions": "avx avx2 fma",
    "threads": 2,
    "processor": "Owl",
    "environment": {"TF_ENABLE_ONEDNN_OPTS": "1"},
}


@pytest.mark.parametrize(
    ("text", "name", "vectors"),
    [
        (INTEL, "Owl(R) 7", "amx_tile avx avx2 avx512_vnni avx512f fma sse4_2"),
        (ARM, None, "asimd asimddp sve"),
        ("", None, ""),
    ],
)
def test_processor_and_vectors_are_read_from_cpuinfo(tmp_path, monkeypatch, text, name, vectors):
    (tmp_path / "cpuinfo").write_text(text)
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    assert vector_instructions() == vectors
    assert processor() == name if name else processor()


def test_without_cpuinfo_there_is_still_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "gone")
    assert vector_instructions() == ""
    assert processor()


def test_settings_of_the_environment_are_named_and_no_others(monkeypatch):
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    monkeypatch.setenv("OWL", "hoots")
    monkeypatch.delenv("MKL_CBWR", raising=False)
    found = machine.machine()["environment"]
    assert found["ATEN_CPU_CAPABILITY"] == "avx2"
    assert not {"OWL", "MKL_CBWR"} & set(found)


def test_libraries_are_read_from_what_torch_says():
    assert linear_algebra(MKL) == "MKL 2024.2 and oneDNN 3.12.0"
    assert linear_algebra("Build settings: BLAS_INFO=open, USE_MKL=OFF") == "open"
    assert linear_algebra("") == ""


def test_our_provenance_is_that_of_this_process():
    found = our_provenance()
    assert set(found["versions"]) == {"torch", "numpy", "h5py", "safetensors", "python"}
    assert found["versions"]["numpy"] == np.__version__
    assert found["command"][:3] == ["python", "-m", "parity_tests"]
    assert found["threads"] == torch.get_num_threads()
    assert found["kernels"] == torch.backends.cpu.get_cpu_capability()
    assert found["float32 matrix products"] == torch.get_float32_matmul_precision()
    assert found["cores"] > 0
    assert found["machine"]
    assert found["processor"]


def test_tf32_is_told_where_there_is_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert provenance.our_provenance()["TF32"] == {
        "matrix products": torch.backends.cuda.matmul.allow_tf32,
        "cuDNN": torch.backends.cudnn.allow_tf32,
    }
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "TF32" not in provenance.our_provenance()


def test_a_side_in_one_line():
    line = "tensorflow 2.21.0, Eigen, oneDNN on, processor with AVX2, 2 threads, Owl, TF_ENABLE_ONEDNN_OPTS=1"
    assert in_words(THEIRS) == line
    one = {"device": "cuda (H100)", "versions": {"torch": "2.13"}, "kernels": "AVX512", "threads": 1, "machine": "arm"}
    one |= {"float32 matrix products": "highest"}
    assert in_words(one) == "cuda (H100), torch 2.13, float32 matrix products highest, AVX512, 1 thread, arm"
    assert in_words({"seed": 1}) == ""
