"""The interface between the harness and a port; the project's own port is tested through it as well.

Subclass :class:`Adapter` and override the methods that the port can answer. Methods that are not overridden are listed
as untested, never as passed. All arrays are NumPy. They are passed in the precision that is compared (float32 or
float64), and answers must have that precision. Variables have Magenta's names and layouts, as in a checkpoint of its
trainer.

Precision: the step is an integer and Adam's two powers are always float32; all other variables have the precision that
is compared. Counts are int64. Costs are arrays without axes.

Random numbers are arguments: a port draws none itself. ``draws`` maps ``latent`` to standard normal numbers [B, z], and
``encoder/fw/recurrent``, ``encoder/bw/recurrent``, ``decoder/recurrent``, ``decoder/input`` and ``decoder/output`` to
dropout masks [T, B, n] of 0 or 1 / keep probability, in the order in which that cell takes its steps (the backward
encoder starts at the last point of each sketch). Encoder masks cover all T steps, even if every sketch is shorter. If a
mask is missing, that dropout is off.

An answer maps names to arrays. The docstrings list the names that a method must return, and under "More" the
intermediates (gates, states) that it may return as well. With those the harness can say more exactly where a port
departs. A name that is left out is untested, or a failure if the port offers it; see :attr:`Adapter.offers`. Inside a
layer the axes are [B, T, n], with the steps in the order in which the cell takes them; the encoder's values are zero
after the end of a sketch.
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
FAILURES = (Exception, SystemExit)  # what a port may raise and be reported for; Ctrl-C still stops the harness
PRECISIONS = ("float64", "float32")


def describe_error(error: BaseException) -> str:
    """What a port raised, in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


class Data(NamedTuple):
    """A port's data loader. A batch holds strokes (stroke-3 sketches), sketches [B, T + 1, 5] and lengths [B]."""

    scale_factor: float | np.floating[Any]
    random_batch: Callable[[], Batch]  # of the training set
    valid_batch: Callable[[int], Batch]
    test_batch: Callable[[int], Batch]


class Adapter:
    """A port under test. A method raises NotImplementedError if the port cannot answer it."""

    name = "a port"
    precisions: Sequence[str] = PRECISIONS
    uses_weight_port = False  # whether its weights are converted by weight_port; then the converted files are compared
    about: Mapping[str, Any] = {}  # how the port ran, such as on which device; for the report

    @property
    def offers(self) -> frozenset[str]:
        """Names of the methods that the port offers: by default every method that its class overrides.

        A port that also returns what its layers compute inside (gates, states) adds :data:`INTERMEDIATES`.

        A quantity that no offered method answers is untested: it is not proven, and the verdict counts it. If an
        offered method leaves a quantity out, that is a failure ("not compared"). If it raises NotImplementedError, the
        port declines that recording, and what the method alone would have answered is untested. A port that offers
        :data:`EVERYTHING` may leave nothing untested: for it every untested quantity is a failure.
        """
        return frozenset(name for name in METHODS if getattr(type(self), name) is not getattr(Adapter, name))

    @property
    def offers_everything(self) -> bool:
        """Whether the port offers every method, the intermediates and both precisions."""
        return self.offers >= EVERYTHING and set(self.precisions) >= set(PRECISIONS)

    def step_cell(
        self, kind: str, weights: Mapping[str, np.ndarray], x: np.ndarray, state: np.ndarray, mask: np.ndarray | None
    ) -> Arrays:
        """One step of a cell on its own; :meth:`load` need not have been called.

        Args:
            kind: ``lstm``, ``layer_norm`` or ``hyper``.
            weights: by their official names below the cell's scope, such as ``W_xh`` or ``ln_all/ln_gamma``.
            x: input [B, input].
            state: Magenta's packed state [B, s]: [c, h] for lstm, [h, c] for layer_norm, [h, hyper_h, c, hyper_c].
            mask: of the recurrent dropout [B, n], or None.

        Returns:
            ``output`` [B, n] and the packed new ``state`` [B, s]. More: the gates before their activations ``i``,
            ``j``, ``f``, ``o``, the candidate after dropout ``g``, and ``c``, ``h``; with layer norm ``total`` (the
            input of ln_all) and ``normal_c``; for a hyper cell ``hyper_ix`` ... ``hyper_oh`` (the result of each hyper
            norm, without the bias) and ``hyper_cell/...`` (the same of the inner cell, except its output and state).
            The inner cell has no dropout.
        """
        raise NotImplementedError

    def load(self, hparams: Mapping[str, Any], variables: Mapping[str, np.ndarray]) -> None:
        """Load a model, and Adam's slots and powers if they are among the variables; the methods below use them.

        Args:
            hparams: Magenta's hyperparameters, and ``hyper_num_units`` and ``hyper_embedding_size``. Every
                ``*_dropout_prob`` is a keep probability. Booleans may be 0 or 1. ``enc_model`` has no meaning if
                ``conditional`` is false.
            variables: by their official names.
        """
        raise NotImplementedError

    def encode(self, strokes: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray]) -> Arrays:
        """Encode a batch.

        There are masks only if the port offers no :meth:`train_step`: then this method also runs the forward pass of
        the training model, after that of the evaluation model.

        Args:
            strokes: stroke-5 without the start token [B, T, 5].
            lengths: true lengths [B].
            draws: ``latent``, and a mask for each dropout that is on.

        Returns:
            ``mu``, ``presig``, ``z`` [B, z]. More: ``encoder/fw/...`` and ``encoder/bw/...``: a cell's intermediates at
            each step, ``output``, ``state``, and ``final_state`` [B, s], that of each sketch at its own end.
        """
        raise NotImplementedError

    def decode(self, inputs: np.ndarray, z: np.ndarray | None, draws: Mapping[str, np.ndarray]) -> Arrays:
        """Decode a batch; there are masks as for :meth:`encode`. Input dropout acts on [stroke, z].

        Args:
            inputs: stroke-5, starting with the start token [B, T, 5].
            z: latent vectors [B, z], or None for an unconditional model.
            draws: a mask for each dropout that is on.

        Returns:
            ``pi``, ``mu1``, ``mu2``, ``sigma1``, ``sigma2``, ``corr`` [B, T, M], ``pen``, ``pen_logits`` [B, T, 3].
            More: ``decoder/initial_state`` [B, s] of a conditional model, and ``decoder/...`` as for the encoder;
            ``decoder/output`` is taken after output dropout, ``decoder/h`` and the state before it.
        """
        raise NotImplementedError

    def loss(
        self, mixture: Arrays, targets: np.ndarray, latent: Mapping[str, np.ndarray] | None, *, is_training: bool
    ) -> Arrays:
        """The costs.

        Args:
            mixture: the same object that :meth:`decode` returned last (so a port may keep more in it than the
                parameters), or the parameters of the official run under the same names.
            targets: stroke-5 [B, T, 5].
            latent: ``mu`` and ``presig``, or None for an unconditional model.
            is_training: whether the pen loss counts the padding.

        Returns:
            ``r_cost``, and ``kl_cost`` with the loaded ``kl_tolerance`` as its floor; 0 for an unconditional model.
        """
        raise NotImplementedError

    def train_step(
        self, sketches: np.ndarray, lengths: np.ndarray, draws: Mapping[str, np.ndarray], lr: float, kl_weight: float
    ) -> Arrays:
        """One training step of the loaded model; its weights and optimizer take the step.

        Args:
            sketches: stroke-5 with the start token [B, T + 1, 5].
            lengths: true lengths [B].
            draws: ``latent`` and all masks.
            lr: learning rate, float64 whatever the precision.
            kl_weight: weight of the KL cost.

        Returns:
            ``cost``, ``r_cost``, ``kl_cost``; ``gradient/<name>`` and ``clipped/<name>`` of each variable, and after
            the step ``after/<name>`` of each weight, slot and power (``after/`` is ignored in float32). Each of these
            three kinds is answered for every variable or for none. Also everything that :meth:`encode` and
            :meth:`decode` return: once this method is offered, a missing ``mu``, ``presig``, ``z`` or mixture parameter
            is a failure. More: the intermediates of both, and ``keep_prob/<name>`` for each mask.
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
            The gradients with respect to ``x`` [B, input], ``state`` [B, s], and each weight, under its name.
        """
        raise NotImplementedError

    def variables(self) -> Arrays:
        """The current weights of the loaded model, by their official names and in the official layout."""
        raise NotImplementedError

    def step_layer(self, layer: str, x: np.ndarray, state: np.ndarray, mask: np.ndarray | None) -> Arrays:
        """One step of a layer of the loaded model, without input and output dropout.

        Args:
            layer: ``encoder/fw``, ``encoder/bw`` or ``decoder``.
            x: input of its cell [B, input]; for the decoder [stroke-5, z].
            state: packed state [B, s].
            mask: of the recurrent dropout [B, n], or None.

        Returns:
            What :meth:`step_cell` returns.
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
        """The vector-Jacobian product of :meth:`step_layer`; returns what :meth:`step_cell_vjp` does."""
        raise NotImplementedError

    def posterior(self, fw_state: np.ndarray, bw_state: np.ndarray) -> Arrays:
        """``mu`` and ``presig`` [B, z] from the packed final states of both encoder cells."""
        raise NotImplementedError

    def latent(self, mu: np.ndarray, presig: np.ndarray, noise: np.ndarray) -> Arrays:
        """``z`` [B, z] from mu, presig and standard normal noise, [B, z] each."""
        raise NotImplementedError

    def initial_state(self, z: np.ndarray) -> Arrays:
        """``initial_state``, the packed one of the decoder [B, s], from z [B, z]."""
        raise NotImplementedError

    def output_layer(self, hidden: np.ndarray) -> Arrays:
        """``head`` [B, T, 3 + 6 M]: the output layer applied to the decoder's outputs [B, T, n].

        It holds three pen logits, then blocks of M: the logits of pi, mu1, mu2, log sigma1, log sigma2, and corr before
        its tanh.
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
            head: as :meth:`output_layer` returns it.
            targets: stroke-5 [B, T, 5].
            latent: ``mu`` and ``presig`` [B, z], or None for an unconditional model.
            kl_weight: weight of the KL cost.
            is_training: whether the pen loss counts the padding.

        Returns:
            The mixture parameters that :meth:`decode` returns, ``cost``, ``r_cost``, ``kl_cost``, and the gradients of
            the cost: ``gradient/head`` and, for a conditional model, ``gradient/mu`` and ``gradient/presig``. The
            latter two come from the KL term alone, because ``head`` is an input.
        """
        raise NotImplementedError

    def optimize(self, gradients: Mapping[str, np.ndarray], lr: float) -> Arrays:
        """A step of the loaded optimizer on these gradients, by the official names of their variables.

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
        """Sample one sketch with the two generators of Magenta's ``sample``, in its order, all dropout off.

        First z, ``normal.randn(1, z_size)``, even for an unconditional model. Then at each step one
        ``uniform.random()`` for the component and one for the pen, also when greedy, and unless greedy one
        ``normal.multivariate_normal`` with the component's mean and covariance, computed in float64; sigma is
        multiplied by sqrt(T) * sqrt(T), where T is the temperature. Sampling does not stop at the end of the sketch.

        Returns:
            ``strokes`` [seq_len, 5], float32 in either precision, each point rounded before it is fed back, and the
            mixtures ``pi``, ``mu1``, ``mu2``, ``sigma1``, ``sigma2``, ``corr`` [seq_len, M] and ``pen`` [seq_len, 3].
        """
        raise NotImplementedError

    def schedules(self, hparams: Mapping[str, Any], step: int) -> tuple[float, float]:
        """Learning rate and KL weight at a step; the first step is 0."""
        raise NotImplementedError

    def data(
        self,
        sets: Sequence[Mapping[str, list[np.ndarray]]],
        hparams: Mapping[str, Any],
        rng: np.random.RandomState,
        order: Mapping[str, np.ndarray],
    ) -> Data:
        """Loaders of the joined stroke sets, as Magenta's ``load_dataset`` returns them.

        Args:
            sets: for each file its stroke-3 sketches under ``train``, ``valid`` and ``test``.
            hparams: ``batch_size``, ``random_scale_factor``, ``augment_stroke_prob``, and ``max_seq_len``: longer
                sketches are dropped; None means the length of the longest, as ``load_dataset`` sets it.
            rng: the random number generator of all loaders.
            order: for each split, the order in which the official run sorted the sketches that it kept (the order of
                equal lengths depends on the machine).
        """
        raise NotImplementedError

    def dropout_mask(self, size: int, keep_prob: float) -> np.ndarray:
        """A dropout mask that the port draws itself [size], float32; everywhere else masks are arguments."""
        raise NotImplementedError

    def initial(self, hparams: Mapping[str, Any], seed: int) -> Arrays:
        """The initial value of each variable; NumPy's generator is seeded with ``np.random.seed(seed)`` first."""
        raise NotImplementedError


INTERMEDIATES = "intermediates"
METHODS = tuple(name for name, value in vars(Adapter).items() if callable(value) and not name.startswith("_"))
EVERYTHING = frozenset({*METHODS, INTERMEDIATES})


def load_adapter(spec: str, **options: str | None) -> Adapter:
    """An instance of the class that ``my_package.my_module:Adapter`` names.

    Args:
        spec: the class.
        options: keyword arguments of its constructor, ``device`` and ``precision``; those that are None are left out.

    Raises:
        BadInput: when there is no such class, it takes no such option, it cannot be constructed, or it is no
            :class:`Adapter`.
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
        raise BadInput(f"--port {spec}: cannot be used ({describe_error(error)})") from None
    if refused:
        raise BadInput(f"--{refused[0]}: the constructor of the port {spec} takes no argument {refused[0]!r}")
    if not isinstance(made, Adapter):
        raise BadInput(
            f"--port {spec}: expected a subclass of parity_tests.adapter.Adapter, found {type(made).__name__}"
        )
    _check_attributes(spec, made)
    return made


def _check_attributes(spec: str, port: Adapter) -> None:
    """Refuse a port whose attributes would end a run later, when everything has been computed."""
    try:
        precisions, offers, about = port.precisions, port.offers, port.about
    except FAILURES as error:
        raise BadInput(f"--port {spec}: its attributes cannot be read ({describe_error(error)})") from None
    some = isinstance(precisions, list | tuple | set | frozenset) and precisions
    if not some or not all(precision in PRECISIONS for precision in precisions):
        raise BadInput(f"--port {spec}: its precisions are {precisions!r}, expected some of float64 and float32")
    if not isinstance(offers, set | frozenset) or not all(isinstance(name, str) for name in offers):
        raise BadInput(f"--port {spec}: it offers {offers!r}, expected a set of names")
    if not isinstance(about, Mapping):
        raise BadInput(f"--port {spec}: its about is {about!r}, expected a mapping of names to values")


def _refused(make: Callable[..., Any], options: Mapping[str, Any]) -> list[str]:
    """The options that a constructor does not take by name."""
    if not options:
        return []
    takes = inspect.signature(make).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in takes):
        return []
    by_name = {p.name for p in takes if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return [name for name in options if name not in by_name]
