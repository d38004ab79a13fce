"""Bugs of the fuzz test, with which it would overlook a fault or change too little."""

from parity_tests.fuzz import verdict
from parity_tests.fuzz.mutators import archives, hdf5
from parity_tests.mutation.bugs import HarnessMutant, Text

_VERDICT = ("fuzz/test_verdict.py",)
_MUTATORS = ("fuzz/test_mutators.py",)
FUZZ_MUTANTS = (
    HarnessMutant(
        "fuzz: a traceback is not seen",
        Text(verdict, "_wrong_end", ("if _TRACEBACK in err:", "if False:")),
        _VERDICT,
    ),
    HarnessMutant(
        "fuzz: any exit code is good",
        Text(verdict, "_wrong_end", ("if ended.code not in (*command.codes, REFUSED):", "if False:")),
        _VERDICT,
    ),
    HarnessMutant(
        "fuzz: control characters are not seen",
        Text(verdict, "_wrong_text", ("if not lines[0].isprintable():", "if False:")),
        _VERDICT,
    ),
    HarnessMutant(
        "fuzz: what a refused command changed is not seen",
        Text(verdict, "_wrong_files", ("if ended.code == REFUSED and changed:", "if False:")),
        _VERDICT,
    ),
    HarnessMutant(
        "fuzz: files count as the same if their names are",
        Text(verdict, "snapshot", ("hashlib.sha256(path.read_bytes()).hexdigest()", '"file"')),
        _VERDICT,
    ),
    HarnessMutant(
        "fuzz: temporary files are not seen",
        Text(verdict, "_wrong_files", ('if any((folder / TEMPORARY).iterdir()):', "if False:")),
        _VERDICT,
    ),
    HarnessMutant(
        "fuzz: a changed recording is not sealed again",
        Text(hdf5, "mutate_recording", ("        seal(path)", "        pass")),
        _MUTATORS,
    ),
    HarnessMutant(
        "fuzz: archives are changed without right checksums",
        Text(archives, "mutate_archive", ("if random.random() < 0.2:", "if True:")),
        _MUTATORS,
    ),
)  # fmt: skip
