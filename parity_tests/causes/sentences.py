"""What each bug of :data:`parity_tests.mutation.catalogue.port.MUTANTS` says to the author of a port that has it.

What the port does comes first, what Magenta does second. Hypotheses have their own sentences.
"""

SENTENCES = {
    # the cells
    "gates in torch's order: i, f, g, o": "the LSTM's gates are taken in the order i, f, g, o, Magenta stores i, j, "
    "f, o",
    "input and forget gate swapped": "the layer-norm LSTM's input and forget gates are swapped",
    "candidate and output gate swapped": "the HyperLSTM's candidate and output gate are swapped",
    "candidate without tanh": "the LSTM's candidate has no tanh",
    "output gate inside the tanh": "the LSTM's output gate is inside the tanh, Magenta multiplies after it",
    "hard sigmoid on the input gate": "the layer-norm LSTM's input gate is a hard sigmoid",
    "inner hyper cell sees x only": "the inner hyper cell reads x alone, Magenta's reads [x, h]",
    "HyperLSTM of another design: the gates read the inner cell's previous output": "the hyper norms read the inner "
    "cell's previous output, Magenta's its new one",
    "HyperLSTM of another design: the bias is scaled as well": "the hyper norm scales the bias too, Magenta adds it "
    "later",
    "hyper norms scale without shifting": "the hyper norms of the h side do not shift (beta is missing)",
    "no layer norm": "there is no layer norm",
    "encoder without layer norm": "the encoder's gates are not normalised",
    "layer norm fed back into the state": "the layer-norm LSTM keeps the normalised c as its state, Magenta's keeps c",
    "no layer norm between c and h": "the layer-norm LSTM does not normalise c on its way to h",
    "coupled gates: 1 - f instead of i": "the HyperLSTM's input gate is 1 - f",
    "forget bias missing": "the forget bias 1 is not added; it is in no stored weight",
    "forget bias stored and added again": "the forget bias is 2, Magenta's is 1 (stored in the weights and added "
    "again?)",
    "forget bias 0.9": "the forget bias is 0.9, Magenta's is 1",
    "main bias of the HyperLSTM dropped with layer norm": "the main bias of the HyperLSTM is left out",
    "main bias of the HyperLSTM added after layer norm": "the main bias of the HyperLSTM is added after the layer "
    "norm, Magenta adds it before",
    "latent layers without bias": "the linear layers of mu, presig and the initial state have no bias",
    "output layer without bias": "the output layer has no bias",
    # numbers
    "layer-norm epsilon 1e-5": "the layer norm's epsilon is 1e-5, Magenta's is 1e-3",
    "layer-norm epsilon outside the root": "the layer norm adds epsilon to the deviation, Magenta to the variance",
    "density epsilon 1e-5": "the epsilon inside the log of the density is 1e-5, Magenta's is 1e-6",
    "density without epsilon": "there is no epsilon inside the log of the density, Magenta adds 1e-6",
    "density is max(density, epsilon), not their sum": "the density is max(density, epsilon), Magenta adds epsilon",
    "Adam's epsilon 1e-7": "Adam's epsilon is 1e-7, Magenta's is 1e-8",
    "unbiased variance": "the layer norm uses the unbiased variance, Magenta the biased one",
    "layer norm over all four gates as one": "the layer norm normalises all four gates as one group, Magenta each "
    "gate separately",
    "layer norm without subtracting the mean": "the layer norm does not subtract the mean",
    "log variance used as log deviation": "z uses exp(presig) as its deviation, Magenta exp(presig / 2)",
    "KL cost uses the log variance as log deviation": "the KL cost uses presig as the log of the deviation; it is the "
    "log of the variance",
    # dropout and masks
    "no dropout": "there is no dropout in training",
    "encoder without dropout": "the encoder has no recurrent dropout",
    "dropout left on in evaluation": "dropout stays on in evaluation",
    "inner dropout of the HyperLSTM on": "recurrent dropout acts inside the inner hyper cell, Magenta's inner cell "
    "has none",
    "keep probability used as drop probability": "the keep probability is used as the drop probability",
    "keep probability used as drop probability where masks are drawn": "masks drop units with the keep probability",
    "masks drawn without 1 / keep probability": "masks are drawn as 0 and 1, not as 0 and 1 / keep probability",
    "output dropout with the input's keep probability": "output dropout uses the input's keep probability",
    "masks used without 1 / keep probability": "masks are multiplied by the keep probability: 0 and 1",
    "recurrent mask on h, not on the candidate": "the LSTM's recurrent mask acts on h, Magenta's on tanh(j) alone",
    "recurrent mask on c, not on the candidate": "the layer-norm LSTM's recurrent mask acts on the new c, Magenta's "
    "on tanh(j) alone",
    "one mask for all steps": "one mask serves all steps, Magenta draws one for each",
    "backward encoder's masks in the order of the sketch": "the backward encoder's masks follow the order of the "
    "sketch, Magenta's that of its own steps",
    "output dropout reaches the recurrent state": "output dropout reaches the recurrent state, Magenta's the output "
    "alone",
    "input dropout on the strokes, not on z": "input dropout leaves z alone, Magenta's acts on [stroke, z]",
    # sequences
    "encoder ignores lengths": "the encoder ignores the lengths: it reads the padding as well",
    "state not frozen after the end of a sketch": "the encoder's state is not frozen after the end of a sketch, "
    "Magenta's is",
    "backward state not frozen after its last point": "the backward encoder reads on into the padding after its last "
    "point",
    "backward direction starts in the padding": "the backward encoder starts in the padding, Magenta's at the last "
    "point",
    "encoder stops one point early": "the encoder reads one point too few of each sketch",
    "encoder reads the start token": "the encoder reads the start token, Magenta's reads from the first point on",
    "decoder reads without the start token": "the decoder's inputs lack the start token: they are its targets",
    "targets shifted by one step": "the targets are the decoder's inputs, not the points that follow",
    "layer-norm state packed as the LSTM's: c, h": "the layer-norm LSTM's packed state is read as [c, h], it is [h, c]",
    "LSTM state packed as the layer norm's: h, c": "the LSTM's packed state is read as [h, c], it is [c, h]",
    "initial state split in the wrong order": "the halves of the decoder's initial state are swapped; tanh(linear(z)) "
    "is split in the packed order of the cell",
    "last outputs concatenated as backward, forward": "the last outputs are concatenated as [bw, fw], Magenta's as "
    "[fw, bw]",
    "last c instead of last h": "mu and presig are computed from c of the last states, Magenta's from h",
    # the latent vector
    "mu and presig swapped": "mu and presig are swapped",
    "z without noise": "z is mu, without noise",
    "initial state without tanh": "the decoder's initial state has no tanh",
    "z fed only at the first step": "the decoder reads z at the first step only, Magenta's at every step",
    "z concatenated before the stroke": "the decoder reads [z, stroke], Magenta's [stroke, z]",
    # the mixture
    "pen block last": "the pen logits are taken from the end of the output, Magenta's come first",
    "blocks of mu2 and sigma1 swapped": "the output's blocks of mu2 and sigma1 are swapped",
    "sigma by softplus": "sigma1 is softplus of the output, Magenta's is exp",
    "correlation without tanh": "the correlation has no tanh",
    "mixture weights by sigmoid instead of softmax": "pi comes from a sigmoid, Magenta's from a softmax",
    "density without the correlation's factor": "the density lacks its factor 1 / sqrt(1 - corr^2)",
    "density with unnormalised pi": "the density is weighted by exp(logits), Magenta's by their softmax",
    "density of only the best component": "the density is that of the best component, Magenta's the sum over all",
    # the costs
    "stroke loss averaged over unmasked steps only": "the stroke loss is averaged over the unmasked steps, Magenta "
    "divides by all B x T steps",
    "pen loss a third: mean over the three states": "the pen loss is a third of Magenta's: a mean over the three pen "
    "states",
    "stroke mask keeps the first end step": "the stroke mask keeps the first end step, Magenta's ends with the last "
    "point",
    "stroke loss of the padding counted": "the stroke loss of the padding is counted, Magenta masks it",
    "divisor Nmax - 1": "the losses are divided by one step less: Nmax, where the targets have Nmax + 1 points",
    "divisor Nmax + 1: the start token counted": "the losses are divided by one step more: the start token is counted",
    "sum over steps, mean over sketches": "the losses are summed over the steps, Magenta's is their mean",
    "pen loss masked in training": "the pen loss of the padding is masked in training, Magenta counts it",
    "pen loss unmasked in evaluation": "the pen loss of the padding is counted in evaluation, Magenta masks it",
    "no KL floor": "the KL cost has no floor, Magenta's is max(KL, kl_tolerance)",
    "KL floor for each dimension": "the KL floor applies to each dimension, Magenta's to the mean",
    "KL floor that lets gradients through": "gradients pass through the KL floor; Magenta's are zero below it",
    "KL floor of the weighted cost": "the KL floor applies to kl_weight * KL, Magenta's to KL",
    "KL summed over z": "the KL cost is summed over z, Magenta's is a mean",
    "KL cost without its weight": "the KL cost enters the cost without its weight",
    # training
    "KL weight starts at 0.005": "the KL weight starts at 0.005, Magenta's at kl_weight_start",
    "no KL annealing": "the KL weight is constant, Magenta's is annealed",
    "KL weight annealed at the learning rate's decay rate": "the KL weight's schedule uses decay_rate, Magenta's "
    "kl_decay_rate",
    "no minimum learning rate": "the learning rate has no minimum",
    "learning rate counts steps from 1": "the learning rate's schedule counts steps from 1, Magenta's from 0",
    "the whole learning rate decays, not its distance to the minimum": "the learning rate is lr decay^step + min_lr, "
    "Magenta's is (lr - min_lr) decay^step + min_lr",
    "clips by the norm of all gradients": "gradients are clipped by their common norm, Magenta clips each element",
    "clips by the norm of each gradient": "each gradient is clipped by its norm, Magenta clips each element",
    "no clipping": "gradients are not clipped",
    "clips from above only": "gradients are clipped from above only",
    "Adam as torch computes it": "Adam adds epsilon to the bias-corrected root, TensorFlow's to the root of v",
    "Adam's epsilon inside the root": "Adam's epsilon is inside the root",
    "beta2 0.99": "Adam's beta2 is 0.99, Magenta's is 0.999",
    "no bias correction": "Adam has no bias correction",
    "bias correction one step ahead: powers updated before use": "Adam's bias correction is a step ahead",
    "Adam's constants not rounded to float32": "Adam's constants are exact, TensorFlow's are rounded to float32",
    "powers in float64": "Adam's powers are kept in float64, TensorFlow's in float32",
    "weight decay": "there is weight decay",
    # initial weights
    "forget bias also in the initial bias": "the LSTM's bias starts at 1 for the forget gate, Magenta's at 0 "
    "throughout",
    "W_hh orthogonal as a whole, not in four blocks": "W_hh starts orthogonal as a whole, Magenta's in four blocks",
    "orthogonal blocks by QR": "orthogonal blocks come from a QR decomposition, Magenta's from an SVD",
    "alpha of the hyper norms 0.1 instead of 0.1 / e": "alpha of the hyper norms starts at 0.1, Magenta's at 0.1 / e",
    # sampling
    "temperature not applied to the pen": "the temperature does not act on the pen",
    "temperature not applied to the component": "the temperature does not act on the choice of the component",
    "sigma times the root of the temperature": "sampling scales sigma by sqrt(T), Magenta's by sqrt(T) sqrt(T)",
    "probabilities divided by the temperature, not their logs": "the temperature divides the probabilities, Magenta's "
    "their logs",
    "covariance without the correlation": "sampling ignores the correlation",
    "pen drawn before the component": "the pen is drawn before the component, Magenta's after it",
    "greedy sampling draws one random number too few per step": "greedy sampling draws one uniform number per step, "
    "Magenta's two",
    "greedy sampling draws a point and discards it": "greedy sampling draws a normal point and discards it",
    "no z drawn for a decoder-only model": "an unconditional model draws no z, Magenta's draws one anyway",
    "points fed back without rounding to float32": "points are fed back unrounded, Magenta's are rounded to float32",
    "sampling starts without the start token": "sampling starts with zeros, Magenta's with [0, 0, 1, 0, 0]",
    "sampling stops at the end of the sketch": "sampling stops at the end of the sketch, Magenta's takes all steps",
    "greedy point is the mean over all components": "the greedy point is the mean over all components, Magenta's that "
    "of the likeliest",
    # data
    "a separate scale factor for each axis": "each axis has its own scale factor, Magenta's is one for both",
    "scale factor of dx only": "the scale factor is that of dx only",
    "unbiased scale factor": "the scale factor is the unbiased deviation, Magenta's the biased one",
    "scale factor of all splits": "the scale factor is that of all splits, Magenta's of the training set",
    "each split normalised by itself": "each split is divided by its own scale factor, Magenta's by the training set's",
    "normalised twice": "the strokes are divided by the scale factor twice",
    "large gaps not clamped": "large gaps are not clamped to +-1000",
    "sketches not sorted by length": "the sketches are not sorted by length",
    "long sketches cut, not dropped": "long sketches are cut, Magenta's are dropped",
    "only the last of several data sets kept": "of several data sets only the last is kept",
    "batch drawn with replacement": "a batch is drawn with replacement, Magenta's without",
    "padding with pen up instead of end of sketch": "the padding has the pen up, Magenta's the end of sketch",
    "no start token": "there is no start token: the first row is zero",
    "random scale drawn only if its factor is not 0": "no scale is drawn if its factor is 0, Magenta draws one anyway",
    "one scale for both axes": "both axes get one random scale, Magenta's one each",
    "half the random scale": "the random scale has half of Magenta's range",
    "validation augmented as well": "validation and test sets are augmented as well",
    "dropped point merged into the next point": "a dropped point's offset goes to the next point, Magenta's to the "
    "previous",
    "dropped point lost, not merged": "a dropped point's offset is lost, Magenta's goes to the previous point",
    "points dropped one too early in a stroke: count > 1": "points are dropped a point too early in a stroke (count > "
    "1, Magenta's is count > 2)",
    "no augmentation": "no points are dropped",
    # weights
    "gamma and beta of a layer norm swapped": "gamma and beta of ln_all are swapped",
    "hyper norms of input and output gate swapped": "the hyper norms of input and output gate are swapped (x side)",
    "forward and backward encoder swapped": "the weights of the forward and the backward encoder are swapped",
    "layers of mu and presig swapped": "the weights of mu and presig are swapped",
    "W_hh transposed, then reshaped": "W_hh is transposed, then reshaped",
    "the converter adds the forget bias to the stored one": "the forget bias is added to the stored bias, and again "
    "later",
    "weights rounded to float16 on the way": "the weights were rounded to float16",
    "weights rounded to float32 on the way": "the weights were rounded to float32",
    "Adam's slots m and v swapped": "Adam's slots m and v are swapped",
    "Adam's powers swapped": "Adam's two powers are swapped",
    "Adam's powers left at their initial values": "Adam's powers are not read: the bias correction starts over",
    "Adam's slots left at zero": "Adam's slots are not read: they start at zero",
    # precision
    "a sigmoid in float32": "the LSTM's output gate is computed in float32",
    "layer norm in float32": "the layer norm is computed in float32",
    "hyper norms in float32": "the hyper norms are computed in float32",
    "latent layers in float32": "the linear layers of mu, presig and the initial state are computed in float32",
    "deviation of z in float32": "the deviation of z is computed in float32",
    "z rounded to float32 before the decoder reads it": "z is rounded to float32 before the decoder reads it",
    "output layer in float32": "the output layer is computed in float32",
    "softmax in float32": "the softmax of pi is computed in float32",
    "likelihood in float32": "the log of the density is computed in float32",
    "KL cost in float32": "the KL cost is computed in float32",
    "gradients rounded to float32": "the gradients were rounded to float32",
    "root of v in float32": "Adam's root of v is computed in float32",
}
