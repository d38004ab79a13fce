"""Bugs of what meets people and other programs: drawings that are finished, the page, exports, downloads of models."""

from parity_tests.mutation.bugs import ProductMutant, Text
from pytorch_sketch_rnn.commands import sketch_argument
from pytorch_sketch_rnn.data import animation, saving
from pytorch_sketch_rnn.demo import questions, server, static
from pytorch_sketch_rnn.model import decoder_step, redrawing
from weight_port import source
from weight_port.export import checkpoint, quantising_cost, sketch_rnn_js, stored, variables

_REDRAWING = ("model/test_redrawing.py",)
_PAGE = ("demo/test_server.py",)
_JS = ("weight_port/test_export_js.py",)
_CHECKPOINT = ("weight_port/test_export_checkpoint.py",)
_REMOTE = ("weight_port/test_remote.py",)
_CLI = ("package/test_cli_redraw.py",)
_SAVING = ("data/test_saving.py",)

CLIENT_MUTANTS = (
    ProductMutant(
        "a beginning is read without the start token", "finishing a drawing",
        Text(redrawing, "complete", ("decoder(inputs[:, :-1],", "decoder(inputs[:, 1:],")),
        _REDRAWING,
    ),
    ProductMutant(
        "the last point of a beginning is not read", "finishing a drawing",
        Text(redrawing, "complete", ("_repeated(inputs[:, -1], count)", "_repeated(inputs[:, -2], count)")),
        _REDRAWING,
    ),
    ProductMutant(
        "an ending leaves its beginning out", "finishing a drawing",
        Text(redrawing, "complete", ("np.concatenate([begun, end])", "end")),
        _REDRAWING,
    ),
    ProductMutant(
        "the way between two sketches is a straight line", "morphing",
        Text(redrawing, "slerp", ("< 1e-6", "< 2")),
        _REDRAWING,
    ),
    ProductMutant(
        "the second end of a morph is left out", "morphing",
        Text(redrawing, "interpolate", ("step / (count - 1)", "step / count")),
        _REDRAWING,
    ),
    ProductMutant(
        "the page answers to any name", "demo",
        Text(server._Handler, "_is_for_us", ('self.headers.get("Host") in', "True or None in")),
        _PAGE,
    ),
    ProductMutant(
        "the page answers forms", "demo",
        Text(server._Handler, "do_POST", ("not is_json or", "")),
        _PAGE,
    ),
    ProductMutant(
        "the page is silent about bugs", "demo",
        Text(server._Server, "handle_error", ("if not isinstance(", "if False and isinstance(")),
        _PAGE,
    ),
    ProductMutant(
        "a question may be of any length", "demo",
        Text(server._Handler, "do_POST", ("int(length) > MOST_BYTES", "False")),
        _PAGE,
    ),
    ProductMutant(
        "a pen of any number is taken", "demo",
        Text(questions, "_sketch", ("or point[2] not in (0, 1)", "")),
        _PAGE,
    ),
    ProductMutant(
        "a page of other cells is written", "demo",
        Text(static, "check_runs_in_page", ("if others:", "if False:")),
        ("demo/test_static.py",),
    ),
    ProductMutant(
        "weights are cut off, not rounded", "export",
        Text(sketch_rnn_js, "quantise", ("np.rint(", "np.trunc(")),
        _JS,
    ),
    ProductMutant(
        "weights beyond the range wrap around", "export",
        Text(sketch_rnn_js, "quantise", ("if beyond and not clip:", "if False:"), ("if outside.any():", "if False:")),
        _JS,
    ),
    ProductMutant(
        "the info of a model is not kept", "export",
        Text(sketch_rnn_js, "make_info", ("dict(stored.info) | changed", "changed")),
        _JS,
    ),
    ProductMutant(
        "the cost of quantising is that of the weights as they were", "export",
        Text(quantising_cost, "cost_of_quantising", ("quantised.weights())", "stored.weights)")),
        _JS,
    ),
    ProductMutant(
        "slots of another shape are exported", "export",
        Text(stored, "_read_optimizer", ("if wrong:", "if False:")),
        _CHECKPOINT,
    ),
    ProductMutant(
        "a HyperLSTM that Magenta cannot build is exported", "export",
        Text(variables, "check_loadable", ('if others:', "if False:")),
        _CHECKPOINT,
    ),
    ProductMutant(
        "an export in which Magenta trained on is replaced", "export",
        Text(checkpoint, "_refuse_others", ("if others:", "if False:")),
        _CHECKPOINT,
    ),
    ProductMutant(
        "a set is measured with sketches that are too long", "export",
        Text(quantising_cost, "sketches_of", ("if len(sketch) <= max_seq_len", "if True")),
        _JS,
    ),
    ProductMutant(
        "a model by URL is recorded by its place in the cache", "models by address",
        Text(source, "_open_remote", ("source.location.replace(str(path), shown)", "source.location")),
        _REMOTE,
    ),
    ProductMutant(
        "a model by URL is recorded with its query", "models by address",
        Text(source, "_open_remote", ("shown = without_query(url)", "shown = url")),
        _REMOTE,
    ),
    ProductMutant(
        "an official archive is searched for its only model", "models by address",
        Text(source, "_open_remote", ("open_source(path, member)", "open_source(path, None)")),
        _REMOTE,
    ),
    ProductMutant(
        "the sketch is one further", "sketches on the command line",
        Text(sketch_argument, "read_sketch", ("sketch = sketches[index]", "sketch = sketches[index - 1]")),
        _CLI,
    ),
    ProductMutant(
        "a sketch is never scaled by the model", "sketches on the command line",
        Text(sketch_argument, "read_sketch", ('if scale == "model":', "if False:")),
        _CLI,
    ),
    ProductMutant(
        "lines are drawn all at once", "animation",
        Text(animation, "animated_svg", ("begin += len(line)", "begin += 0")),
        _SAVING,
    ),
    ProductMutant(
        "a GIF may have a side of any length", "animation",
        Text(animation, "frames", ("> LARGEST_SIDE", "> 10 * LARGEST_SIDE")),
        _SAVING,
    ),
    ProductMutant(
        "strokes are written in normalised units", "animation",
        Text(saving, "_scaled", ("1.0 if scale_factor is None else scale_factor", "1.0")),
        _SAVING,
    ),
    ProductMutant(
        "the state of a step is that before it", "decoder's step",
        Text(decoder_step.DecoderStep, "forward", ("*after)", "*state)")),
        ("model/test_decoder_step.py",),
    ),
)  # fmt: skip
