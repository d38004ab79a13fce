"""What the harness asks of a port: the one door, through which our own port goes as well.

Subclass :class:`Adapter` and override what the port offers. All that is not overridden is listed as untested, never as
passed. Everything is NumPy: arrays come in the precision that is compared (float32 or float64) and must go back in it.
Variables have Magenta's names and layouts, as in a checkpoint of its trainer.

Precision: variables come in the one that is compared, but for the step and Adam's two powers (float32 always). Counts
are int64. Costs are arrays without axes.

Random numbers are given, not drawn: ``draws`` maps ``latent`` to standard normal numbers [B, z], and
``encoder/fw/recurrent``, ``encoder/bw/recurrent``, ``decoder/recurrent``, ``decoder/input``, ``decoder/output`` to
dropout masks [T, B, n] of 0 or 1 / keep probability, in the order in which that cell takes the steps (the backward
encoder begins at the last point of each sketch); masks of the encoder cover all T steps, even where no sketch is so
long. A mask that is not there means that this dropout is off.

An answer maps names to arrays. The docstrings say which names a method must give; whatever else the official code was
recorded with (gates, states) may be given too: it makes the harness say more exactly where a port departs, and is
listed as untested where it is left out. Names and axes: inside a layer [B, T, n], steps in the order in which the cell
takes them, the encoder's values zero behind the end of a sketch.
"""

import importlib
import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pytorch_sketch_rnn.errors import BadInput

Arrays = dict[str, np.ndarray]
Batch = tuple[list[np.ndarray], np.ndarray, np.ndarray]
OURS = "parity_tests.ours:Adapter"
FAILURES = (Exception, SystemExit)  # whatever a stranger's code may raise; Ctrl-C is no failure of it


def told(error: BaseException) -> str:
    """What a port raised, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class Data(NamedTuple):
    """What a port's data loader offers; a batch is its strokes (stroke-3), sketches [B, T + 1, 5] and lengths [B]."""

    scale_factor: float
    random_batch: Callable[[], Batch]  # of the training set
    valid_batch: Callable[[int], Batch]
    test_batch: Callable[[int], Batch]


class Adapter:
    """A port under test. Methods raise NotImplementedError where the port has nothing to offer."""

    name = "a port"
    precisions: Sequence[str] = ("float64", "float32")
    uses_weight_port = False  # whether its weights come through weight_port, whose files are compared then
    about: Mapping[str, Any] = {}  # what the report says of how the port ran, such as its device

    @property
    def offers(self) -> frozenset[str]:
        """What the port offers: by default every method that its class overrides.

        A port that also hands out what its layers compute inside (gates, states) adds :data:`INTERMEDIATES`. What is
        offered must be answered for every recording, or it counts as different. What is not offered is not proven,
        and the verdict says how much that is.
        """
        return frozenset(name for name in METHODS if getattr(type(self), name) is not getattr(Adapter, name))

    def step_cell(
        self, kind: str, weights: Mapping[str, np.ndarray], x: np.ndarray, state: np.ndarray, mask: np.ndarray | None
    ) -> Arrays:
        """One step of a cell on its own; it needs no :meth:`load` before.

        Args:
            kind: ``lstm``, ``layer_norm`` or ``hyper``.
            weights: by their official names below the cell's scope, such as ``W_xh`` or ``ln_all/ln_gamma``.
            x: input [B, input].
            state: Magenta's packed state [B, s]: [c, h] for lstm, [h, c] for layer_norm, [h, hyper_h, c, hyper_c].
            mask: of the recurrent dropout [B, n], or None.

        Returns:
            ``output`` [B, n] and the packed new ``state`` [B, s]. More: the gates' values before their activations
            ``i``, ``j``, ``f``, ``o``, the candidate after dropout ``g``, ``c``, ``h``; with layer norm ``total``
            (what ln_all reads) and ``normal_c``; in a hyper cell ``hyper_ix`` ... ``hyper_oh`` (what each hyper norm
            gives, without the bias) and ``hyper_cell/...`` (the inner cell's, but for its output and state). The inner
            cell has no dropout.
        """
        raise NotImplementedError

    def load(self, hparams: Mapping[str, Any], variables: Mapping[str, np.ndarray]) -> None:
        """Take a model, with Adam's slots and powers where they are among the variables; the methods below use it.

        Args:
            hparams: Magenta's hyperparameters, and ``hyper_num_units`` and ``hyper_embedding_size``. Every
                ``*_dropout_prob`` is a keep probability; what is true or false may be 0 or 1; ``enc_model`` means
                nothing where ``conditional`` is false.
            variables: by their official names.
        """
        raise NotImplementedError

    def encode(self, strokes: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray]) -> Arrays:
        """Encode a batch. Masks come where the port offers no :meth:`train_step`: then the training model's forward
        pass is asked for here, behind that of the evaluation model.

        Args:
            strokes: stroke-5 without the start token [B, T, 5].
            lengths: true lengths [B].
            draws: ``latent``, and masks where dropout is on.

        Returns:
            ``mu``, ``presig``, ``z`` [B, z]. More: ``encoder/fw/...`` and ``encoder/bw/...``: a cell's values at each
            step, ``output``, ``state``, and ``final_state`` [B, s], each sketch's at its own end.
        """
        raise NotImplementedError

    def decode(self, inputs: np.ndarray, z: np.ndarray | None, draws: Mapping[str, np.ndarray]) -> Arrays:
        """Decode a batch; masks come as for :meth:`encode`. Input dropout acts on [stroke, z].

        Args:
            inputs: stroke-5, the start token first [B, T, 5].
            z: latent vectors [B, z], or None for an unconditional model.
            draws: masks where dropout is on.

        Returns:
            ``pi``, ``mu1``, ``mu2``, ``sigma1``, ``sigma2``, ``corr`` [B, T, M], ``pen``, ``pen_logits`` [B, T, 3].
            More: ``decoder/initial_state`` [B, s] of a conditional model, and ``decoder/...`` as for the encoder;
            ``decoder/output`` is what output dropout leaves, ``decoder/h`` and the state are from before it.
        """
        raise NotImplementedError

    def loss(
        self, mixture: Arrays, targets: np.ndarray, latent: Mapping[str, np.ndarray] | None, *, is_training: bool
    ) -> Arrays:
        """The costs.

        Args:
            mixture: the very mapping that :meth:`decode` answered last (so a port may use what it knows beside the
                parameters), or the official run's parameters under the same names.
            targets: stroke-5 [B, T, 5].
            latent: ``mu`` and ``presig``, or None for an unconditional model.
            is_training: whether the pen loss counts the padding.

        Returns:
            ``r_cost`` and ``kl_cost``; the floor of the latter is the loaded ``kl_tolerance``, and it is 0 for an
            unconditional model.
        """
        raise NotImplementedError

    def train_step(
        self, sketches: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray], lr: float, kl_weight: float
    ) -> Arrays:
        """One step of training of the loaded model, which moves on.

        Args:
            sketches: stroke-5 with the start token [B, T + 1, 5].
            lengths: true lengths [B].
            draws: ``latent`` and all masks.
            lr: learning rate, float64 whatever the precision.
            kl_weight: weight of the KL cost.

        Returns:
            ``cost``, ``r_cost``, ``kl_cost``; for each variable ``gradient/<name>``, ``clipped/<name>`` and, behind the
            step, ``after/<name>`` of each weight, slot and power (float64 alone is asked for ``after/``). More:
            whatever :meth:`encode` and :meth:`decode` give, and ``keep_prob/<name>`` for each mask.
        """
        raise NotImplementedError

    def step_cell_vjp(
        self,
        kind: str,
        weights: Mapping[str, np.ndarray],
        x: np.ndarray,
        state: np.ndarray,
        mask: np.ndarray | None,
        d_output: np.ndarray,
        d_state: np.ndarray,
    ) -> Arrays:
        """The vector-Jacobian product of :meth:`step_cell`: gradients of sum(d_output output) + sum(d_state new state).

        Returns:
            ``x`` [B, input], ``state`` [B, s], and that of each weight under its name.
        """
        raise NotImplementedError

    def variables(self) -> Arrays:
        """The weights of the loaded model, as it holds them now, by their official names and in official layout."""
        raise NotImplementedError

    def step_layer(self, layer: str, x: np.ndarray, state: np.ndarray, mask: np.ndarray | None) -> Arrays:
        """One step of a layer of the loaded model, as :meth:`step_cell`, without input and output dropout.

        Args:
            layer: ``encoder/fw``, ``encoder/bw`` or ``decoder``.
            x: what its cell reads [B, input]; of the decoder [stroke-5, z].
            state: packed state [B, s].
            mask: of the recurrent dropout [B, n], or None.
        """
        raise NotImplementedError

    def step_layer_vjp(
        self,
        layer: str,
        x: np.ndarray,
        state: np.ndarray,
        mask: np.ndarray | None,
        d_output: np.ndarray,
        d_state: np.ndarray,
    ) -> Arrays:
        """The vector-Jacobian product of :meth:`step_layer`, as :meth:`step_cell_vjp` gives it."""
        raise NotImplementedError

    def posterior(self, fw_state: np.ndarray, bw_state: np.ndarray) -> Arrays:
        """``mu`` and ``presig`` [B, z] from the packed final states of both encoder cells."""
        raise NotImplementedError

    def latent(self, mu: np.ndarray, presig: np.ndarray, noise: np.ndarray) -> Arrays:
        """``z`` [B, z] from mu, presig and standard normal noise, [B, z] each."""
        raise NotImplementedError

    def initial_state(self, z: np.ndarray) -> Arrays:
        """``initial_state``, the decoder's packed one [B, s], from z [B, z]."""
        raise NotImplementedError

    def output_layer(self, hidden: np.ndarray) -> Arrays:
        """``head`` [B, T, 3 + 6 M]: what the output layer makes of the decoder's outputs [B, T, n].

        Three pen logits, then blocks of M: the logits of pi, mu1, mu2, log sigma1, log sigma2, corr before its tanh.
        """
        raise NotImplementedError

    def costs(
        self,
        head: np.ndarray,
        targets: np.ndarray,
        latent: Mapping[str, np.ndarray] | None,
        kl_weight: float,
        *,
        is_training: bool,
    ) -> Arrays:
        """Mixture, costs and their gradients from the output layer's values.

        Args:
            head: as :meth:`output_layer` gives it.
            targets: stroke-5 [B, T, 5].
            latent: ``mu`` and ``presig`` [B, z], or None for an unconditional model.
            kl_weight: weight of the KL cost.
            is_training: whether the pen loss counts the padding.

        Returns:
            The mixture's parameters as :meth:`decode` gives them, ``cost``, ``r_cost``, ``kl_cost``, and of the cost
            ``gradient/head`` and, of a conditional model, ``gradient/mu`` and ``gradient/presig``: those of the KL
            term alone, since ``head`` is given.
        """
        raise NotImplementedError

    def optimize(self, gradients: Mapping[str, np.ndarray], lr: float) -> Arrays:
        """The loaded optimizer's step on given gradients, by the official names of their variables.

        Returns:
            ``clipped/<name>``, and after the step ``after/<name>`` of each weight, slot and power.
        """
        raise NotImplementedError

    def sample(
        self,
        seq_len: int,
        temperature: float,
        greedy: bool,
        uniform: random.Random,
        normal: np.random.RandomState,
    ) -> Arrays:
        """Draw one sketch from the two streams that Magenta's ``sample`` draws from, in its order, all dropout off.

        First z, ``normal.randn(1, z_size)``, even where the model is unconditional. Then at each step one
        ``uniform.random()`` for the component and one for the pen, also when greedy, and unless greedy one
        ``normal.multivariate_normal`` with the component's mean and covariance, computed in float64; sigma is
        multiplied by sqrt(T) * sqrt(T). All steps are taken, past the end of the sketch.

        Returns:
            ``strokes`` [seq_len, 5], float32 in either precision, each point rounded before it is fed back, and the
            mixtures ``pi``, ``mu1``, ``mu2``, ``sigma1``, ``sigma2``, ``corr`` [seq_len, M] and ``pen`` [seq_len, 3].
        """
        raise NotImplementedError

    def schedules(self, hparams: Mapping[str, Any], step: int) -> tuple[float, float]:
        """Learning rate and KL weight at a step, counted from 0."""
        raise NotImplementedError

    def data(
        self,
        sets: Sequence[Mapping[str, list[np.ndarray]]],
        hparams: Mapping[str, Any],
        rng: np.random.RandomState,
        order: Mapping[str, np.ndarray],
    ) -> Data:
        """Loaders of the joined sets, as Magenta's ``load_dataset`` makes them.

        Args:
            sets: for each file its stroke-3 sketches under ``train``, ``valid`` and ``test``.
            hparams: ``batch_size``, ``random_scale_factor``, ``augment_stroke_prob``, and ``max_seq_len``: longer
                sketches are dropped; None: that of the longest, as ``load_dataset`` sets it.
            rng: the stream that all loaders draw from.
            order: for each split, how the official run sorted the sketches that it kept (how equal lengths are sorted
                depends on the machine).
        """
        raise NotImplementedError

    def dropout_mask(self, size: int, keep_prob: float) -> np.ndarray:
        """A dropout mask of the port's own making [size], float32; all other masks are given to it."""
        raise NotImplementedError

    def initial(self, hparams: Mapping[str, Any], seed: int) -> Arrays:
        """The initial value of each variable, what NumPy draws being drawn after ``np.random.seed(seed)``."""
        raise NotImplementedError


INTERMEDIATES = "intermediates"
METHODS = tuple(name for name, value in vars(Adapter).items() if callable(value) and not name.startswith("_"))
EVERYTHING = frozenset({*METHODS, INTERMEDIATES})


def load_adapter(spec: str, **options: str | None) -> Adapter:
    """An instance of the class that ``my_package.my_module:Adapter`` names.

    Args:
        spec: the class.
        options: what its constructor is given by name, ``device`` and ``precision``; None is not given.

    Raises:
        BadInput: when there is no such class, it takes no such option, it cannot be made, or it is no :class:`Adapter`.
    """
    module_name, colon, class_name = spec.partition(":")
    if not (module_name and colon and class_name):
        raise BadInput(f"--port {spec}: expected my_package.my_module:Adapter")
    given = {name: value for name, value in options.items() if value is not None}
    try:
        make = getattr(importlib.import_module(module_name), class_name)
        refused = _refused(make, given)
        made = None if refused else make(**given)
    except BadInput:
        raise
    except FAILURES as error:
        raise BadInput(f"--port {spec}: cannot be used ({told(error)})") from None
    if refused:
        raise BadInput(f"--{refused[0]}: the constructor of the port {spec} takes no argument {refused[0]!r}")
    if not isinstance(made, Adapter):
        raise BadInput(
            f"--port {spec}: expected a subclass of parity_tests.adapter.Adapter, found {type(made).__name__}"
        )
    precisions = made.precisions
    if isinstance(precisions, str) or not set(precisions or ()) or not set(precisions) <= {"float64", "float32"}:
        raise BadInput(f"--port {spec}: its precisions are {precisions!r}, expected some of float64 and float32")
    return made


def _refused(make: Callable[..., Any], options: Mapping[str, Any]) -> list[str]:
    """The options that a constructor does not take by name."""
    if not options:
        return []
    takes = inspect.signature(make).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes):
        return []
    by_name = {p.name for p in takes if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return [name for name in options if name not in by_name]
