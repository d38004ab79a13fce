"""The element-wise part of each step as Triton kernels: a program computes ROWS of the B rows of D cells, one on a GPU.

With the environment variable ``TRITON_INTERPRET=1`` Triton runs them on a CPU, for tests without a GPU. Its time there
is that of the number of operations, so that one program then computes all rows.

A block is [ROWS, BLOCK], with n columns that count; what belongs to a row is [ROWS, 1]. A packed row is
``cell S + t B + b``. The parameters are those of :mod:`kernels`. Constants are ``constexpr``, since Triton passes a
Python float as a float32.
"""

import triton
import triton.language as tl


@triton.jit
def _sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def _tanh(x):
    """Near 0, where 1 - exp(-2 |x|) loses digits, a rational function. Source: Cephes, tanh.c."""
    z = x * x
    p = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z - 1.61468768441708447952e3
    q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3
    small = x + x * z * (p / q)
    e = tl.exp(-2 * tl.abs(x))
    large = (1 - e) / (1 + e)
    return tl.where(tl.abs(x) < 0.625, small, tl.where(x < 0, -large, large))


@triton.jit
def _mean(x, n: tl.constexpr):
    """Of each row, whose other columns are 0."""
    return tl.sum(x, 1)[:, None] / n


@triton.jit
def _normalise(x, inside, n: tl.constexpr, epsilon: tl.constexpr):
    centred = tl.where(inside, x - _mean(x, n), 0.0)
    deviation = 1 / tl.sqrt(_mean(centred * centred, n) + epsilon)
    return centred * deviation, deviation


@triton.jit
def _normalise_backward(d, normal, deviation, n: tl.constexpr):
    return (d - _mean(d, n) - normal * _mean(d * normal, n)) * deviation


@triton.jit
def _rows(B, D, ROWS: tl.constexpr):
    """The rows of this program, whether each exists, its cell, and its number in the batch, [ROWS, 1] each."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    exists = row < D * B
    row = tl.where(exists, row, 0)
    return row, exists, row // B, row % B


@triton.jit
def _load4(pointer, n: tl.constexpr, inside):
    """The parts of four gates, which are n numbers apart."""
    return (
        tl.load(pointer, inside, 0.0),
        tl.load(pointer + n, inside, 0.0),
        tl.load(pointer + 2 * n, inside, 0.0),
        tl.load(pointer + 3 * n, inside, 0.0),
    )


@triton.jit
def _store4(pointer, n: tl.constexpr, inside, i, j, f, o):
    tl.store(pointer, i, inside)
    tl.store(pointer + n, j, inside)
    tl.store(pointer + 2 * n, f, inside)
    tl.store(pointer + 3 * n, o, inside)


@triton.jit
def _add4(pointer, n: tl.constexpr, inside, i, j, f, o):
    """Add to the numbers in memory, which no other program uses."""
    i0, j0, f0, o0 = _load4(pointer, n, inside)
    _store4(pointer, n, inside, i0 + i, j0 + j, f0 + f, o0 + o)


@triton.jit(do_not_specialize=["t", "D", "B", "S"])
def gates_forward(
    total,
    parts,
    projected,
    c,
    Z,
    mask,
    gamma,
    beta,
    gamma_c,
    beta_c,
    deviation,
    normal_c,
    deviation_c,
    ends,
    t,
    D,
    B,
    S,
    part_stride,
    width,
    cell_stride,
    mask_steps,
    n: tl.constexpr,
    forget_bias: tl.constexpr,
    epsilon: tl.constexpr,
    PARTS: tl.constexpr,
    PROJECTED: tl.constexpr,
    NORM: tl.constexpr,
    DROPOUT: tl.constexpr,
    ENDS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Step t. With PARTS 0 the products are in ``total``, else they are the sum of as many parts."""
    row, exists, cell, b = _rows(B, D, ROWS)
    k = tl.arange(0, BLOCK)[None, :]
    inside = exists & (k < n)
    now = cell * S + t * B + b
    after = now + B
    gates = total + now * 4 * n + k
    if PARTS == 0:
        i, j, f, o = _load4(gates, n, inside)
    else:
        i, j, f, o = _load4(parts + row * 4 * n + k, n, inside)
        for part in tl.static_range(1, PARTS):
            pi, pj, pf, po = _load4(parts + part * part_stride + row * 4 * n + k, n, inside)
            i, j, f, o = i + pi, j + pj, f + pf, o + po
    if PROJECTED:
        pi, pj, pf, po = _load4(projected + row * 4 * n + k, n, inside)
        i, j, f, o = i + pi, j + pj, f + pf, o + po
    if NORM:
        i, di = _normalise(i, inside, n, epsilon)
        j, dj = _normalise(j, inside, n, epsilon)
        f, df = _normalise(f, inside, n, epsilon)
        o, do = _normalise(o, inside, n, epsilon)
        tl.store(deviation + now * 4, di, exists)
        tl.store(deviation + now * 4 + 1, dj, exists)
        tl.store(deviation + now * 4 + 2, df, exists)
        tl.store(deviation + now * 4 + 3, do, exists)
    _store4(gates, n, inside, i, j, f, o)
    if NORM:
        gi, gj, gf, go = _load4(gamma + cell * 4 * n + k, n, inside)
        bi, bj, bf, bo = _load4(beta + cell * 4 * n + k, n, inside)
        i, j, f, o = i * gi + bi, j * gj + bj, f * gf + bf, o * go + bo
    candidate = _tanh(j)
    if DROPOUT:
        candidate = candidate * tl.load(mask + (row * mask_steps + t) * n + k, inside, 0.0)
    old_c = tl.load(c + now * n + k, inside, 0.0)
    new_c = old_c * _sigmoid(f + forget_bias) + _sigmoid(i) * candidate
    state = new_c
    if NORM:
        normal, dc = _normalise(new_c, inside, n, epsilon)
        tl.store(normal_c + now * n + k, normal, inside)
        tl.store(deviation_c + now, dc, exists)
        state = normal * tl.load(gamma_c + cell * n + k, inside, 0.0) + tl.load(beta_c + cell * n + k, inside, 0.0)
    new_h = _tanh(state) * _sigmoid(o)
    h = Z + cell * cell_stride + (t * B + b) * width + k
    if ENDS:
        alive = t < tl.load(ends + b, exists, 0)
        new_c = tl.where(alive, new_c, old_c)
        new_h = tl.where(alive, new_h, tl.load(h, inside, 0.0))
    tl.store(c + after * n + k, new_c, inside)
    tl.store(h + B * width, new_h, inside)


@triton.jit(do_not_specialize=["t", "D", "B", "S", "window", "first"])
def gates_backward(
    total,
    c,
    mask,
    gamma,
    beta,
    gamma_c,
    beta_c,
    deviation,
    normal_c,
    deviation_c,
    ends,
    d_outputs,
    d_h,
    parts,
    d_c,
    d_total,
    d_gamma,
    d_beta,
    d_gamma_c,
    d_beta_c,
    t,
    D,
    B,
    S,
    window,
    first,
    part_stride,
    part_cell,
    part_row,
    mask_steps,
    n: tl.constexpr,
    forget_bias: tl.constexpr,
    PARTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    NORM: tl.constexpr,
    DROPOUT: tl.constexpr,
    ENDS: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Back through step t, with the parts of the gradient of h."""
    row, exists, cell, b = _rows(B, D, ROWS)
    k = tl.arange(0, BLOCK)[None, :]
    inside = exists & (k < n)
    now = cell * S + t * B + b
    at = row * n + k
    dh = tl.load(d_h + at, inside, 0.0)
    for part in tl.static_range(PARTS):
        dh += tl.load(parts + part * part_stride + cell * part_cell + b * part_row + k, inside, 0.0)
    dc = tl.load(d_c + at, inside, 0.0)
    if ENDS:
        alive = t < tl.load(ends + b, exists, 0)
        tl.store(d_h + at, tl.where(alive, 0.0, dh), inside)
    else:
        tl.store(d_h + at, tl.zeros_like(dh), inside)
    if OUTPUTS:
        dh += tl.load(d_outputs + (cell * (S - B) + t * B + b) * n + k, inside, 0.0)
    ni, nj, nf, no = _load4(total + now * 4 * n + k, n, inside)
    i, j, f, o = ni, nj, nf, no
    if NORM:
        gi, gj, gf, go = _load4(gamma + cell * 4 * n + k, n, inside)
        bi, bj, bf, bo = _load4(beta + cell * 4 * n + k, n, inside)
        i, j, f, o = ni * gi + bi, nj * gj + bj, nf * gf + bf, no * go + bo
        normal = tl.load(normal_c + now * n + k, inside, 0.0)
        gc = tl.load(gamma_c + cell * n + k, inside, 0.0)
        tanh_c = _tanh(normal * gc + tl.load(beta_c + cell * n + k, inside, 0.0))
    else:
        tanh_c = _tanh(tl.load(c + (now + B) * n + k, inside, 0.0))
    i, tanh_j, f, o = _sigmoid(i), _tanh(j), _sigmoid(f + forget_bias), _sigmoid(o)
    d_state = dh * o * (1 - tanh_c * tanh_c)
    if NORM:
        d_y = d_state
        if ENDS:
            d_y = tl.where(alive, d_state, 0.0)
        tl.store(d_gamma_c + at, tl.load(d_gamma_c + at, inside, 0.0) + d_y * normal, inside)
        tl.store(d_beta_c + at, tl.load(d_beta_c + at, inside, 0.0) + d_y, inside)
        # the lanes outside are 0 before, since gc and normal are
        d_state = _normalise_backward(d_state * gc, normal, tl.load(deviation_c + now, exists, 0.0), n)
    d_new_c = dc + d_state
    through = d_new_c
    if DROPOUT:
        through = d_new_c * tl.load(mask + (row * mask_steps + t) * n + k, inside, 0.0)
    di = through * tanh_j * i * (1 - i)
    dj = through * i * (1 - tanh_j * tanh_j)
    df = d_new_c * tl.load(c + now * n + k, inside, 0.0) * f * (1 - f)
    do = dh * tanh_c * o * (1 - o)
    d_old_c = d_new_c * f
    if ENDS:
        d_old_c = tl.where(alive, d_old_c, dc)
        di, dj = tl.where(alive, di, 0.0), tl.where(alive, dj, 0.0)
        df, do = tl.where(alive, df, 0.0), tl.where(alive, do, 0.0)
    tl.store(d_c + at, d_old_c, inside)
    if NORM:
        _add4(d_gamma + row * 4 * n + k, n, inside, di * ni, dj * nj, df * nf, do * no)
        _add4(d_beta + row * 4 * n + k, n, inside, di, dj, df, do)
        # the lanes outside are 0 before, since the gammas are
        di = _normalise_backward(di * gi, ni, tl.load(deviation + now * 4, exists, 0.0), n)
        dj = _normalise_backward(dj * gj, nj, tl.load(deviation + now * 4 + 1, exists, 0.0), n)
        df = _normalise_backward(df * gf, nf, tl.load(deviation + now * 4 + 2, exists, 0.0), n)
        do = _normalise_backward(do * go, no, tl.load(deviation + now * 4 + 3, exists, 0.0), n)
    here = cell * window + t * B + b - first
    _store4(d_total + here * 4 * n + k, n, inside, di, dj, df, do)


@triton.jit(do_not_specialize=["t", "D", "B", "S"])
def mix_forward(
    total,
    from_x,
    projected,
    from_h,
    bias,
    signals,
    t,
    D,
    B,
    S,
    n: tl.constexpr,
    PROJECTED: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The pre-activations of step t of HyperLSTM cells."""
    row, exists, cell, b = _rows(B, D, ROWS)
    k = tl.arange(0, BLOCK)[None, :]
    inside = exists & (k < n)
    now = cell * S + t * B + b
    signal = signals + (cell * 12 * B + b) * n + k  # signals are B n numbers apart
    for gate in tl.static_range(4):
        x = tl.load(from_x + (row * 4 + gate) * n + k, inside, 0.0)
        if PROJECTED:
            x += tl.load(projected + (row * 4 + gate) * n + k, inside, 0.0)
        h = tl.load(from_h + (now * 4 + gate) * n + k, inside, 0.0)
        of_x = tl.load(signal + gate * B * n, inside, 0.0)
        of_h = tl.load(signal + (4 + gate) * B * n, inside, 0.0)
        shift = tl.load(signal + (8 + gate) * B * n, inside, 0.0)
        mixed = of_x * x + of_h * h + shift + tl.load(bias + (cell * 4 + gate) * n + k, inside, 0.0)
        tl.store(total + (now * 4 + gate) * n + k, mixed, inside)


@triton.jit(do_not_specialize=["t", "D", "B", "S", "window", "first"])
def mix_backward(
    from_x,
    projected,
    from_h,
    signals,
    d_total,
    d_from_x,
    d_from_h,
    d_signals,
    t,
    D,
    B,
    S,
    window,
    first,
    n: tl.constexpr,
    PROJECTED: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Back from the pre-activations of step t of HyperLSTM cells."""
    row, exists, cell, b = _rows(B, D, ROWS)
    k = tl.arange(0, BLOCK)[None, :]
    inside = exists & (k < n)
    now = cell * S + t * B + b
    here = cell * window + t * B + b - first
    signal = (cell * 12 * B + b) * n + k  # signals are B n numbers apart
    for gate in tl.static_range(4):
        x = tl.load(from_x + (row * 4 + gate) * n + k, inside, 0.0)
        if PROJECTED:
            x += tl.load(projected + (row * 4 + gate) * n + k, inside, 0.0)
        h = tl.load(from_h + (now * 4 + gate) * n + k, inside, 0.0)
        of_x = tl.load(signals + signal + gate * B * n, inside, 0.0)
        of_h = tl.load(signals + signal + (4 + gate) * B * n, inside, 0.0)
        d = tl.load(d_total + (here * 4 + gate) * n + k, inside, 0.0)
        tl.store(d_from_x + (here * 4 + gate) * n + k, d * of_x, inside)
        tl.store(d_from_h + (here * 4 + gate) * n + k, d * of_h, inside)
        tl.store(d_signals + signal + gate * B * n, d * x, inside)
        tl.store(d_signals + signal + (4 + gate) * B * n, d * h, inside)
        tl.store(d_signals + signal + (8 + gate) * B * n, d, inside)


@triton.jit
def _product(word, factor: tl.constexpr):
    """The upper and the lower 32 bits of a product of two 32-bit words."""
    product = word.to(tl.uint64) * factor
    return (product >> 32).to(tl.uint32), product.to(tl.uint32)


@triton.jit
def _store_mask(out, word, upper: tl.constexpr, steps, inside, kept, threshold: tl.constexpr):
    """The mask of one time step, from the lower or the upper 16 bits of a word."""
    bits = (word >> 16 if upper else word & 0xFFFF).to(tl.int32)
    tl.store(out, tl.where(bits < threshold, kept, tl.zeros_like(kept)), inside & (steps > 0))


@triton.jit(do_not_specialize=["seed", "step", "name", "B", "T"])
def fill_mask(
    out,
    rows,
    seed,
    step,
    name,
    B,
    T,
    n: tl.constexpr,
    threshold: tl.constexpr,
    scale: tl.constexpr,
    STEP_IN_MEMORY: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Eight time steps of ROWS rows of a KeyedMask: one block of Philox4x32-10 for each unit.

    Source: Salmon, Moraes, Dror and Shaw 2011, section 5.3, as in :mod:`pytorch_sketch_rnn.philox`.
    """
    blocks = (T + 7) // 8
    item = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)[:, None]
    exists = item < B * blocks
    b, block = tl.where(exists, item // blocks, 0), item % blocks
    k = tl.arange(0, BLOCK)[None, :]
    inside = exists & (k < n)
    if STEP_IN_MEMORY:
        step = tl.load(step)
    zero = tl.zeros([ROWS, BLOCK], tl.uint32)
    c0 = zero + k.to(tl.uint32)
    c1 = zero + block.to(tl.uint32)
    c2 = zero + tl.load(rows + b).to(tl.uint32)
    c3 = zero + name.to(tl.uint32)
    k0, k1 = zero + seed.to(tl.uint32), zero + step.to(tl.uint32)
    for _ in tl.static_range(10):
        high0, low0 = _product(c0, 0xD2511F53)
        high1, low1 = _product(c2, 0xCD9E8D57)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + 0x9E3779B9, k1 + 0xBB67AE85
    kept = tl.full([ROWS, BLOCK], scale, out.dtype.element_ty)
    first = block * 8
    here, left = out + (b * T + first) * n + k, T - first
    _store_mask(here, c0, False, left, inside, kept, threshold)
    _store_mask(here + n, c0, True, left - 1, inside, kept, threshold)
    _store_mask(here + 2 * n, c1, False, left - 2, inside, kept, threshold)
    _store_mask(here + 3 * n, c1, True, left - 3, inside, kept, threshold)
    _store_mask(here + 4 * n, c2, False, left - 4, inside, kept, threshold)
    _store_mask(here + 5 * n, c2, True, left - 5, inside, kept, threshold)
    _store_mask(here + 6 * n, c3, False, left - 6, inside, kept, threshold)
    _store_mask(here + 7 * n, c3, True, left - 7, inside, kept, threshold)
