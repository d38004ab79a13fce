"""train.py refuses wrong flags: one clear line, exit code 2, every file unchanged."""

import shlex
from pathlib import Path

import pytest
from refusals import CAT, NEW, assert_one_line, assert_refused, case, everything, words_last

from pytorch_sketch_rnn.errors import run_command
from pytorch_sketch_rnn.training.command import main

pytestmark = pytest.mark.usefixtures("here")
NOT_FINITE = "expected a finite number"
SIZE = "expected 1 to 1000000"
EPOCHS = "expected above 0, at most 1e+09"
TWO_LENGTHS = "num_steps and --num_epochs both say how long"

FLAGS = [
    # sizes and counts
    case("a batch of none", "--batch_size=0", "batch_size is 0", SIZE),
    case("a negative batch", "--batch_size=-4", "batch_size is -4", SIZE),
    case("a batch beyond the set", "--batch_size=13", "/data: cat.npz: ",
         "the train split has 12 sketches", "a batch of 13", "smaller"),
    case("no units in the encoder", "--enc_rnn_size=0", "enc_rnn_size is 0", SIZE),
    case("no units in the decoder", "--dec_rnn_size=-1", "dec_rnn_size is -1", SIZE),
    case("a size beyond reason", "--dec_rnn_size=1000000000", "dec_rnn_size is 1000000000", SIZE),
    case("no latent vector", "--z_size=0", "z_size is 0", SIZE),
    case("no component", "--num_mixture=0", "num_mixture is 0", SIZE),
    case("no points", "--max_seq_len=0", "max_seq_len is 0", SIZE),
    case("no steps", "--num_steps=0", "num_steps is 0", "at least 1"),
    case("negative steps", "--num_steps=-5", "num_steps is -5", "at least 1"),
    case("no epochs", "--num_epochs=0", "num_epochs is 0", EPOCHS),
    case("epochs that are no number", "--num_epochs=nan", "num_epochs is nan", EPOCHS),
    case("epochs without end", "--num_epochs=inf", "num_epochs is inf", EPOCHS),
    case("epochs whose steps leave a float", "--num_epochs=1e308", "num_epochs is 1e+308", EPOCHS),
    case("no saves", "--save_every=0", "save_every is 0", "at least 1"),
    case("nothing kept", "--keep=0", "keep is 0", "a whole number of checkpoints, at least 1"),
    case("a negative seed", "--seed=-1", "seed is -1", "0 to 2147483647"),
    case("a seed beyond 31 bits", f"--seed={2**40}", "seed is 1099511627776", "0 to 2147483647"),
    # rates and weights
    case("no learning rate", "--lr=0", "--lr: learning_rate is 0.0", "a positive number"),
    case("a negative learning rate", "--lr=-0.001", "--lr: learning_rate is -0.001", "a positive number"),
    case("a learning rate that is no number", "--lr=nan", "--lr: learning_rate is nan", NOT_FINITE),
    case("an infinite learning rate", "--lr=inf", "--lr: learning_rate is inf", NOT_FINITE),
    case("a learning rate beyond float32", "--lr=1e300", "--lr: learning_rate is 1e+300", "up to 1e30"),
    case("a negative last learning rate", "--min_lr=-1e-9", "--min_lr: min_learning_rate is -1e-09", "at least 0"),
    case("a learning rate that grows", "--lr_decay=1.5", "--lr_decay: decay_rate is 1.5", "(0, 1]"),
    case("a learning rate that ends at once", "--lr_decay=0", "--lr_decay: decay_rate is 0.0", "(0, 1]"),
    case("a decay that is no number", "--kl_decay_rate=nan", "kl_decay_rate is nan", NOT_FINITE),
    case("a KL decay beyond 1", "--kl_decay_rate=1.1", "kl_decay_rate is 1.1", "(0, 1]"),
    case("a negative KL weight", "--kl_weight=-0.5", "kl_weight is -0.5", "at least 0"),
    case("an infinite KL weight", "--kl_weight=inf", "kl_weight is inf", NOT_FINITE),
    case("a negative first KL weight", "--kl_weight_start=-1", "kl_weight_start is -1.0", "at least 0"),
    case("a negative KL floor", "--kl_tolerance=-1", "kl_tolerance is -1.0", "at least 0"),
    case("a KL floor beyond float32", "--kl_tolerance=1e300", "kl_tolerance is 1e+300", "up to 1e30"),
    case("a negative reg_covar", "--reg_covar=-1", "reg_covar is -1.0", "expected 0 to 0.0001"),
    case("a reg_covar that sampling would have to know", "--reg_covar=0.01", "reg_covar is 0.01", "0 to 0.0001"),
    case("a reg_covar that is no number", "--reg_covar=nan", "reg_covar is nan", NOT_FINITE),
    case("an infinite reg_covar", "--reg_covar=inf", "reg_covar is inf", NOT_FINITE),
    case("no gradients", "--grad_clip=0", "grad_clip is 0.0", "a positive number"),
    case("an infinite bound of gradients", "--grad_clip=inf", "grad_clip is inf", NOT_FINITE),
    case("a bound of gradients beyond float32", "--grad_clip=1e300", "grad_clip is 1e+300",
         "up to 1e30"),
    case("all dropped", "--r_dropout=1", "--r_dropout is 1.0", "a drop probability in [0, 1)"),
    case("less than nothing dropped", "--r_dropout=-0.1", "--r_dropout is -0.1", "[0, 1)"),
    case("a dropout that is no number", "--input_dropout=nan", "--input_dropout is nan", "[0, 1)"),
    case("an infinite dropout", "--output_dropout=inf", "--output_dropout is inf", "[0, 1)"),
    case("an augmentation beyond 1", "--random_scale_factor=2", "random_scale_factor is 2.0", "[0, 1]"),
    case("a negative augmentation", "--augment_stroke_prob=-0.1", "augment_stroke_prob is -0.1", "[0, 1]"),
    # names
    case("an unknown encoder", "--enc_model=gru", "enc_model is 'gru'", "lstm, layer_norm, hyper"),
    case("an unknown decoder", "--dec_model=", "dec_model is ''", "lstm, layer_norm, hyper"),
    case("unknown products", "--products=bfloat16", "products is 'bfloat16'", "float32 or tf32"),
    case("tf32 on a CPU", "--products=tf32 --device=cpu", "products is tf32", "the device is cpu"),
    case("an unknown dtype", "--dtype=float16", "dtype is 'float16'", "float32 or float64"),
    case("an unknown device", "--device=tpu", "--device tpu cannot be used", "cpu, cuda or cuda:1"),
    case("a GPU that is not there", "--device=cuda:99", "--device cuda:99 cannot be used"),
    case("a device without numbers", "--device=meta", "--device meta cannot be used"),
    # --hparams
    case("no name=value", "--hparams=garbage", "--hparams: 'garbage'", "name=value", "batch_size=50"),
    case("an unknown hyperparameter", "--hparams=lr=1", "--hparams: unknown hyperparameter lr", "learning_rate"),
    case("a hyperparameter twice", "--hparams=z_size=2,z_size=3", "--hparams: z_size is given twice"),
    case("a hyperparameter of another type", "--hparams=z_size=2.5", "--hparams: z_size is '2.5'", "a whole number"),
    case("a hyperparameter that is no number", "--hparams=learning_rate=fast", "learning_rate is 'fast'", "a number"),
    case("neither true nor false", "--hparams=conditional=maybe", "conditional is 'maybe'", "true or false"),
    case("a hyperparameter out of range", "--hparams=decay_rate=2", "decay_rate is 2.0", "(0, 1]"),
    case("an empty list of sets", "--hparams=data_set=[]", "data_set is ()", "a list of file names"),
    # names of data sets
    case("no set", "--data_set=,", "data_set is ()", "a list of file names"),
    case("a set in a folder", "--data_set=data/cat.npz", "data_set 'data/cat.npz'", "without folders"),
    case("a set above", "--data_set=../cat.npz", "data_set '../cat.npz'", "without folders"),
    case("a set twice", "--data_set=cat.npz,cat.npz", "data_set cat.npz,cat.npz", "names a set twice"),
    case("no such set", "--data_set=dog.npz", "data/dog.npz: no such file", "there are cat.npz", "--data_set"),
    case("a set without its ending", "--data_set=cat", "data/cat: no such file", "there are cat.npz", "--data_set"),
    case("a name beyond the file system", f"--data_set={'a' * 300}", "data/" + "a" * 300),
    # folders
    case("no such folder of data", "--data_dir=nowhere", "--data_dir ", "nowhere: no such folder", "stroke sets"),
    case("a file as folder of data", f"--data_dir={CAT}", "--data_dir ", f"{CAT}: is a file", "expected a folder"),
    case("a folder without sets", "--data_dir=run", "run/cat.npz: no such file", "there are none",
         "--data_set"),
    case("another kind of URL", "--data_dir=ftp://localhost/sets", "--data_dir ftp://localhost/sets: ", "http",),
    case("the URL of a secret", "--data_dir=http://me:secret@localhost/", "user name and password", "leave them out"),
    case("a URL without host", "--data_dir=http:///sets", "http(s)://host/folder"),
    case("a digest that is none", f"--data_dir=http://localhost/ --sha256={'g' * 64}", "cat.npz", "64 hexadecimal"),
    case("more digests than sets", "--data_dir=http://localhost/ --sha256=a,b", "--sha256: 2", "1 files of --data_set"),
    case("a digest of a local set", f"--sha256={'0' * 64}", "--sha256: is checked after a download", "leave it out"),
    case("the run's folder is there", "--save_dir=run", "run: exists already", "--resume", "another --save_dir"),
    case("the run's folder is a file", f"--save_dir={CAT}", f"{CAT}: exists already", "another --save_dir"),
    case("the run's folder is another one", "--save_dir=data", "data: exists already", "another --save_dir"),
    case("the run's folder has no name", "--save_dir=", "exists already", "another --save_dir"),
    case("the run's folder is in a file", f"--save_dir={CAT}/new", f"{CAT}/new: cannot be made", "another --save_dir"),
    case("the run's folder is where no folder can be", "--save_dir=/proc/new", "/proc/new: cannot be made",
         "another --save_dir"),
    case("the run's name is beyond the file system", f"--save_dir={'a' * 300}", "a" * 300,
         "File name too long"),
    # flags that contradict each other
    case("two lengths", "--num_steps=1 --num_epochs=1", TWO_LENGTHS, "leave one of them out"),
    case("two lengths, one in --hparams", "--hparams=num_steps=1 --num_epochs=1", TWO_LENGTHS,
         "leave one of them out"),
    case("a demo of given data", "--demo", "--demo draws its own data", "--data_dir"),
    case("a demo of Magenta's defaults", "--demo --preset=magenta", "--demo and --preset", "leave one of them out"),
    case("a start and a resume", "--init_from=run --resume", "--init_from starts a run", "--resume goes on"),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "words"), words_last(FLAGS, 1))
def test_a_wrong_flag_is_refused(flags, words, capsys, no_training):
    assert_refused(capsys, [*NEW, *shlex.split(flags)], words)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        case("nothing", [], ["--save_dir is missing", "such as --save_dir=model1_save"]),
        case("no folder of data", ["--save_dir=new"], ["--data_dir is missing", "folder or URL", "--demo"]),
        case("no folder to resume", ["--resume"], ["--save_dir is missing"]),
        case("a demo to resume that never was", ["--demo", "--resume"], ["model_demo/settings.json", "expected a run"]),
    ],
)
def test_a_missing_flag_is_named(argv, words, capsys, no_training):
    assert_refused(capsys, argv, words)


NUMBERS = [
    "enc_rnn_size", "dec_rnn_size", "z_size", "num_mixture", "max_seq_len", "kl_weight", "kl_weight_start",
    "kl_tolerance", "kl_decay_rate", "reg_covar", "batch_size", "lr", "lr_decay", "min_lr", "grad_clip",
    "random_scale_factor", "augment_stroke_prob", "num_epochs", "num_steps", "save_every", "keep", "seed",
    "r_dropout", "input_dropout", "output_dropout",
]  # fmt: skip


PROGRAM = "python -m pytorch_sketch_rnn train"
WHOLE = ("enc_rnn_size", "dec_rnn_size", "z_size", "num_mixture", "max_seq_len", "batch_size", "num_steps",
         "save_every", "keep", "seed")  # fmt: skip
HELP = f"see {PROGRAM} --help"
UNREADABLE = [
    *(case(f"--{name}=many", f"--{name}=many",
           f"--{name}: expected a {'whole number' if name in WHOLE else 'number'}, got 'many'; {HELP}")
      for name in NUMBERS),
    case("half a unit", "--z_size=2.5", "--z_size: expected a whole number, got '2.5'"),
    case("a number without digits", "--lr=", "--lr: expected a number, got ''"),
    case("an unknown flag", "--batchsize=4", f"--batchsize is no flag of {PROGRAM}; did you mean --batch_size? {HELP}"),
    case("a flag in capitals", "--Batch_Size=4", "did you mean --batch_size?"),
    case("an abbreviated flag", "--batch=4", "--batch is no flag", "did you mean --batch_size?"),
    case("an abbreviated switch", "--res", "--res is no flag", "did you mean --resume?"),
    case("a mistyped flag", "--learning_rat=0.1", "--learning_rat is no flag"),
    case("a mistyped flag with another spelling", "--kl-wieght=0.1", "did you mean --kl_weight?"),
    case("a flag with one dash, as TensorFlow takes it", "-save_dir=x", "did you mean --save_dir?"),
    case("a flag unlike any", "--zzz", f"--zzz is no flag of {PROGRAM}; {HELP}"),
    case("a word", "data", "expected flags, which begin with --, got 'data'"),
    case("a flag without its value", "--save_dir", "--save_dir: expected one argument"),
    case("a switch with a value", "--resume=yes", "--resume: ignored explicit argument 'yes'"),
    case("Magenta's switch with another value", "--resume_training=perhaps",
         "--resume_training: expected true or false, got 'perhaps'"),
    case("an unknown preset", "--preset=google", "--preset: invalid choice: 'google'", "magenta"),
    case("a long value", f"--lr={'9x' * 5000}", "--lr: expected a number, got '9x9x"),
]  # fmt: skip


@pytest.mark.parametrize(("flag", "words"), words_last(UNREADABLE, 1))
def test_a_flag_that_cannot_be_read_is_refused_in_one_line(flag, words, capsys, no_training):
    before = everything()
    assert run_command(main, [*NEW, flag]) == 2
    error = capsys.readouterr().err
    assert_one_line(error, words)
    assert len(error) < 250
    assert everything() == before


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        case("decoder", ["--dec_rnn_size=900000"], "dec_rnn_size"),
        case("encoder", ["--enc_rnn_size=900000"], "enc_rnn_size"),
        case("inner cell", ["--dec_model=hyper", "--hparams=hyper_num_units=900000"], "hyper_num_units",),
    ],
)  # fmt: skip
def test_a_model_beyond_memory_is_refused(flags, word, capsys, no_training, bounded):
    assert_refused(capsys, [*NEW, *flags], [word, "memory"])


def test_a_dangling_link_with_the_name_of_the_run_is_refused(capsys, no_training):
    Path("new").symlink_to("nowhere")
    assert_refused(capsys, NEW, ["new: exists already", "another --save_dir"])


def test_a_server_that_does_not_answer_is_named(capsys, no_training, monkeypatch, here):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = here / "cache" / "pytorch-sketch-rnn"
    folder.mkdir(parents=True)
    assert run_command(main, [*NEW, "--data_dir=http://127.0.0.1:1/sets"]) == 2
    assert_one_line(capsys.readouterr().err, ["http://127.0.0.1:1/sets/cat.npz", "connection failed", "check"])
    assert not Path("new").exists()
    assert [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        case("no number of processes", {"RANK": "0", "WORLD_SIZE": "two"}, ["torchrun", "cannot join"]),
        case("no address", {"RANK": "0", "WORLD_SIZE": "2"}, ["torchrun", "cannot join", "MASTER_ADDR"]),
    ],
)
def test_a_broken_environment_of_torchrun_is_refused(variables, words, capsys, no_training, monkeypatch):
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert_refused(capsys, NEW, words)
