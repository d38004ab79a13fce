"""Parts of the report that the bugs of a port name, as :func:`parity_tests.report.parts.part_of` calls them."""

LSTM, LAYER_NORM, HYPER = ("LSTM cell alone",), ("layer-norm LSTM cell alone",), ("HyperLSTM cell alone",)
FORWARD, BACKWARD, DECODER = ("encoder, forward",), ("encoder, backward",), ("decoder",)
LAYERS = FORWARD + BACKWARD + DECODER
KEEP, MASK = ("dropout, keep probabilities",), ("dropout, values of a mask",)
MU, Z, START = ("mu", "presig"), ("z",), ("decoder, initial state",)
HEAD = ("head",)
MIXTURE = ("pi", "mu1", "mu2", "sigma1", "sigma2", "corr", "pen", "pen_logits")
R_TRAINING, R_EVALUATION = ("r_cost, is_training 1",), ("r_cost, is_training 0",)
R_COST = R_TRAINING + R_EVALUATION
GRADIENTS, CLIPPED = ("gradients",), ("gradients, clipped",)
ADAM_M, ADAM_V, POWERS, WEIGHTS = ("Adam: m",), ("Adam: v",), ("Adam: powers",), ("weights after a step",)
CONSTANT = ("initial weights, constant or drawn by NumPy",)
DRAWN = ("initial weights, distribution of what TensorFlow draws",)
GREEDY, SAMPLED = ("sampling, greedy",), ("sampling at a temperature",)
LOADER = ("data loader",)
RATES = ("training: learning rate and KL weight",)
CONVERTED = ("checkpoint: weights, converted or exported", "weights as loaded")
CONVERTED_STATE = ("checkpoint: optimizer state, converted or exported",)
COSTS = ("training: costs",)
