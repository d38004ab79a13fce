// The element-wise part of each step of a sequence, forward and backward, on a CPU.
//
// The equations are those of model/cells.py; the gradients follow from them by the chain rule. The matrix products
// between these steps are made elsewhere. One source serves float and double; the compiler makes vector code of the loops
// marked `omp simd` for the instruction set that the build asks for.
//
// Rows are divided into `groups`, and a thread takes whole groups. Each group adds up its own gradients of gamma and
// beta, so no result depends on the number of threads.
#include <cmath>
#include <cstdint>
#include <limits>

namespace {

template <typename T> struct Bits;
template <> struct Bits<float> {
  using Int = int32_t;
  static constexpr int mantissa = 23, bias = 127, degree = 7;
  static constexpr float lowest = -87.0f, largest = 88.37f, infinite = 89.0f;  // exp of the last is infinite
  static constexpr float ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
};
template <> struct Bits<double> {
  using Int = int64_t;
  static constexpr int mantissa = 52, bias = 1023, degree = 13;
  static constexpr double lowest = -708.0, largest = 709.43, infinite = 710.0;
  static constexpr double ln2_high = 6.93145751953125e-1, ln2_low = 1.42860682030941723212e-6;
};

// exp(x) = scale (1 + q) with |log(1 + q)| <= ln(2) / 2. NaN stays NaN: no comparison with it is true.
template <typename T> inline void split_exp(T x, T& scale, T& q) {
  using B = Bits<T>;
  using Int = typename B::Int;
  x = x < B::lowest ? B::lowest : x;
  x = x > B::largest ? B::infinite : x;  // between them, scale is infinite and q negative: NaN
  constexpr T magic = T(1.5) * T(Int(1) << B::mantissa);  // adding it rounds to a whole number
  const T shifted = x * T(1.44269504088896340736) + magic;
  const T k = shifted - magic;
  const T r = (x - k * B::ln2_high) - k * B::ln2_low;
  constexpr T inverse[] = {T(1),        T(1) / 2,   T(1) / 3,   T(1) / 4,   T(1) / 5,   T(1) / 6,  T(1) / 7,
                           T(1) / 8,    T(1) / 9,   T(1) / 10,  T(1) / 11,  T(1) / 12,  T(1) / 13};
  T sum = T(1);  // Taylor: q = r (1 + r/2 (1 + r/3 (1 + ...)))
#pragma GCC unroll 16
  for (int d = B::degree - 1; d >= 1; --d) sum = sum * (r * inverse[d]) + T(1);
  q = sum * r;
  const Int bits = (__builtin_bit_cast(Int, shifted) << B::mantissa) + (Int(B::bias) << B::mantissa);
  scale = __builtin_bit_cast(T, bits);
}

template <typename T> inline T sigmoid(T x) {
  T scale, q;
  split_exp(-x, scale, q);
  return T(1) / (T(1) + (scale + scale * q));
}

// By expm1, so that it is accurate near 0 as well.
template <typename T> inline T tanh_(T x) {
  T scale, q;
  split_exp(T(-2) * std::fabs(x), scale, q);
  const T expm1 = scale * q + (scale - T(1));
  return std::copysign(-expm1 / (T(2) + expm1), x);
}

constexpr double kForgetBias = 1.0;

}  // namespace

// One sequence of D cells. Rows of all steps are packed: the block of step t begins at row offsets[t], and its first
// rows[t] rows run. Arrays are [D, rows, columns], with `stride` rows for each cell, unless another shape is given.
struct Sequence {
  int64_t D, B, n, stride, pitch, width, groups, threads;
  const int64_t *rows, *offsets;  // [T], [T + 1]
  void* total;                    // [D, stride, pitch]: pre-activations in the first 4 n columns
  const void* projected;          // [D, B, 4 n], added to total; may be null
  void* c;                        // [D, stride, n]: block t is the state before step t
  void* h;                        // [D, stride, width]: likewise, in the first n columns
  const void* mask;               // may be null; element (d, b, t, k) at d mask_d + b mask_b + t mask_t + k
  int64_t mask_d, mask_b, mask_t;
  const int64_t* order;           // [B]: row r of the sequence reads row order[r] of the mask; may be null
  const void *gamma, *beta, *gamma_c, *beta_c;   // [D, 4 n], [D, n]; null for an LSTM without layer norm
  void *deviation, *normal_c, *deviation_c;      // [D, stride, 4], [D, stride, n], [D, stride]
  double epsilon;                                // of the layer norms
};

// What the gradients of one sequence need. d_total is a window of the packed rows that begins at row `first`.
struct Gradients {
  const void* d_outputs;  // [D, stride - B, n]: the block of step t begins at offsets[t + 1] - B; may be null
  void *d_h, *d_c;        // [D, B, n]
  void* d_total;          // [D, window, pitch], as total
  int64_t window, first, pitch;
  void *d_gamma, *d_beta, *d_gamma_c, *d_beta_c;  // [D, groups, 4 n], [D, groups, n]
  void* scratch;                                  // [D, groups, n]
};

// How HyperLSTM cells make their pre-activations: for each gate, signal (x W_xh) + signal (h W_hh) + signal + bias.
struct Mix {
  int64_t D, B, n, stride, pitch, groups, threads;
  const int64_t *rows, *offsets;
  void* total;            // [D, stride, pitch]
  void* from_x;           // [D, B, 4 n]
  const void* projected;  // [D, B, 4 n], added to from_x; may be null
  const void* from_h;     // [D, stride, pitch]
  const void* bias;       // [D, 4 n]
  const void* signals;    // [D, 12, B, n]
};

struct MixGradients {
  const void* d_total;  // [D, window, pitch]
  int64_t window, first, pitch;
  void *d_from_x, *d_from_h;  // [D, window, pitch]
  void* d_signals;            // [D, 12, B, n]
};

namespace {

// x - mean over its deviation, in place; returns the reciprocal deviation.
template <typename T> inline T normalise(T* __restrict x, int64_t n, T sum, T epsilon) {
  const T mean = sum / T(n);
  T squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t k = 0; k < n; ++k) {
    const T centred = x[k] - mean;
    squares += centred * centred;
  }
  const T deviation = T(1) / std::sqrt(squares / T(n) + epsilon);
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) x[k] = (x[k] - mean) * deviation;
  return deviation;
}

// From the gradient of gamma normal + beta to that of what was normalised, in place; adds those of gamma and beta.
template <typename T>
inline void normalise_backward(T* __restrict d, const T* __restrict normal, T deviation, const T* __restrict gamma,
                               T* __restrict d_gamma, T* __restrict d_beta, int64_t n) {
  T sum = 0, slope = 0;
#pragma omp simd reduction(+ : sum, slope)
  for (int64_t k = 0; k < n; ++k) {
    const T given = d[k], x = normal[k];
    d_gamma[k] += given * x;
    d_beta[k] += given;
    const T scaled = given * gamma[k];
    sum += scaled;
    slope += scaled * x;
    d[k] = scaled;
  }
  const T mean = sum / T(n), along = slope / T(n);
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) d[k] = (d[k] - mean - normal[k] * along) * deviation;
}

template <typename T, bool NORM, bool MASK>
void forward_row(const Sequence& s, int64_t t, int64_t d, int64_t b) {
  const int64_t n = s.n, row = d * s.stride + s.offsets[t] + b, next = d * s.stride + s.offsets[t + 1] + b;
  T* __restrict gates = static_cast<T*>(s.total) + row * s.pitch;
  T* __restrict deviation = NORM ? static_cast<T*>(s.deviation) + row * 4 : nullptr;
  const T* __restrict same = s.projected ? static_cast<const T*>(s.projected) + (d * s.B + b) * 4 * n : nullptr;
  for (int64_t gate = 0; gate < 4; ++gate) {
    T* __restrict x = gates + gate * n;
    T sum = 0;
    if (same) {
      const T* __restrict y = same + gate * n;
#pragma omp simd reduction(+ : sum)
      for (int64_t k = 0; k < n; ++k) {
        x[k] += y[k];
        sum += x[k];
      }
    } else if (NORM) {
#pragma omp simd reduction(+ : sum)
      for (int64_t k = 0; k < n; ++k) sum += x[k];
    }
    if (NORM) deviation[gate] = normalise(x, n, sum, T(s.epsilon));
  }
  const T* __restrict gamma = NORM ? static_cast<const T*>(s.gamma) + d * 4 * n : nullptr;
  const T* __restrict beta = NORM ? static_cast<const T*>(s.beta) + d * 4 * n : nullptr;
  const T* __restrict old_c = static_cast<const T*>(s.c) + row * n;
  T* __restrict new_c = static_cast<T*>(s.c) + next * n;
  T* __restrict h = static_cast<T*>(s.h) + next * s.width;
  const T* __restrict mask = nullptr;
  if (MASK) mask = static_cast<const T*>(s.mask) + d * s.mask_d + (s.order ? s.order[b] : b) * s.mask_b + t * s.mask_t;
  auto gate = [&](int64_t g, int64_t k) {
    const T x = gates[g * n + k];
    return NORM ? x * gamma[g * n + k] + beta[g * n + k] : x;
  };
  T sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t k = 0; k < n; ++k) {
    T candidate = tanh_(gate(1, k));
    if (MASK) candidate *= mask[k];
    const T c = old_c[k] * sigmoid(gate(2, k) + T(kForgetBias)) + sigmoid(gate(0, k)) * candidate;
    new_c[k] = c;
    sum += c;
  }
  if (NORM) {
    T* __restrict normal = static_cast<T*>(s.normal_c) + row * n;
    const T* __restrict gamma_c = static_cast<const T*>(s.gamma_c) + d * n;
    const T* __restrict beta_c = static_cast<const T*>(s.beta_c) + d * n;
#pragma omp simd
    for (int64_t k = 0; k < n; ++k) normal[k] = new_c[k];
    static_cast<T*>(s.deviation_c)[row] = normalise(normal, n, sum, T(s.epsilon));
#pragma omp simd
    for (int64_t k = 0; k < n; ++k) h[k] = tanh_(normal[k] * gamma_c[k] + beta_c[k]) * sigmoid(gate(3, k));
  } else {
#pragma omp simd
    for (int64_t k = 0; k < n; ++k) h[k] = tanh_(new_c[k]) * sigmoid(gate(3, k));
  }
}

template <typename T, bool NORM, bool MASK>
void backward_row(const Sequence& s, const Gradients& g, int64_t t, int64_t d, int64_t group, int64_t b) {
  const int64_t n = s.n, row = d * s.stride + s.offsets[t] + b, next = d * s.stride + s.offsets[t + 1] + b;
  const T* __restrict gates = static_cast<const T*>(s.total) + row * s.pitch;
  const T* __restrict gamma = NORM ? static_cast<const T*>(s.gamma) + d * 4 * n : nullptr;
  const T* __restrict beta = NORM ? static_cast<const T*>(s.beta) + d * 4 * n : nullptr;
  const T* __restrict old_c = static_cast<const T*>(s.c) + row * n;
  const T* __restrict new_c = static_cast<const T*>(s.c) + next * n;
  const T* __restrict mask = nullptr;
  if (MASK) mask = static_cast<const T*>(s.mask) + d * s.mask_d + (s.order ? s.order[b] : b) * s.mask_b + t * s.mask_t;
  T* __restrict d_h = static_cast<T*>(g.d_h) + (d * s.B + b) * n;
  T* __restrict d_c = static_cast<T*>(g.d_c) + (d * s.B + b) * n;
  T* __restrict d_gates = static_cast<T*>(g.d_total) + (d * g.window + s.offsets[t] - g.first + b) * g.pitch;
  T* __restrict d_state = static_cast<T*>(g.scratch) + (d * s.groups + group) * n;
  const T* __restrict d_out = nullptr;
  if (g.d_outputs) {
    d_out = static_cast<const T*>(g.d_outputs) + (d * (s.stride - s.B) + s.offsets[t + 1] - s.B + b) * n;
#pragma omp simd
    for (int64_t k = 0; k < n; ++k) d_h[k] += d_out[k];
  }
  auto gate = [&](int64_t number, int64_t k) {
    const T x = gates[number * n + k];
    return NORM ? x * gamma[number * n + k] + beta[number * n + k] : x;
  };
  const T* __restrict normal = NORM ? static_cast<const T*>(s.normal_c) + row * n : nullptr;
  const T* __restrict gamma_c = NORM ? static_cast<const T*>(s.gamma_c) + d * n : nullptr;
  const T* __restrict beta_c = NORM ? static_cast<const T*>(s.beta_c) + d * n : nullptr;
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const T out = sigmoid(gate(3, k));
    const T tanh_c = tanh_(NORM ? normal[k] * gamma_c[k] + beta_c[k] : new_c[k]);
    d_gates[3 * n + k] = d_h[k] * tanh_c * out * (T(1) - out);
    d_state[k] = d_h[k] * out * (T(1) - tanh_c * tanh_c);
  }
  if (NORM) {
    const int64_t at = (d * s.groups + group) * n;
    normalise_backward(d_state, normal, static_cast<const T*>(s.deviation_c)[row], gamma_c,
                       static_cast<T*>(g.d_gamma_c) + at, static_cast<T*>(g.d_beta_c) + at, n);
  }
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    const T in = sigmoid(gate(0, k)), keep = sigmoid(gate(2, k) + T(kForgetBias)), tanh_j = tanh_(gate(1, k));
    const T kept = MASK ? mask[k] : T(1), d_new = d_c[k] + d_state[k];
    d_gates[k] = d_new * tanh_j * kept * in * (T(1) - in);
    d_gates[n + k] = d_new * in * kept * (T(1) - tanh_j * tanh_j);
    d_gates[2 * n + k] = d_new * old_c[k] * keep * (T(1) - keep);
    d_c[k] = d_new * keep;
  }
  if (NORM) {
    const int64_t at = (d * s.groups + group) * 4 * n;
    for (int64_t number = 0; number < 4; ++number)
      normalise_backward(d_gates + number * n, gates + number * n, static_cast<const T*>(s.deviation)[row * 4 + number],
                         gamma + number * n, static_cast<T*>(g.d_gamma) + at + number * n,
                         static_cast<T*>(g.d_beta) + at + number * n, n);
  }
}

template <typename T, bool NORM, bool MASK> void forward(const Sequence& s, int64_t t) {
  const int64_t rows = s.rows[t];
#pragma omp parallel for num_threads(s.threads) schedule(static)
  for (int64_t part = 0; part < s.D * s.groups; ++part) {
    const int64_t d = part / s.groups, group = part % s.groups;
    for (int64_t b = rows * group / s.groups; b < rows * (group + 1) / s.groups; ++b)
      forward_row<T, NORM, MASK>(s, t, d, b);
  }
}

template <typename T, bool NORM, bool MASK> void backward(const Sequence& s, const Gradients& g, int64_t t) {
  const int64_t rows = s.rows[t], capacity = t == 0 ? s.B : s.rows[t - 1];
#pragma omp parallel for num_threads(s.threads) schedule(static)
  for (int64_t part = 0; part < s.D * s.groups; ++part) {
    const int64_t d = part / s.groups, group = part % s.groups;
    for (int64_t b = rows * group / s.groups; b < rows * (group + 1) / s.groups; ++b)
      backward_row<T, NORM, MASK>(s, g, t, d, group, b);
  }
  for (int64_t d = 0; d < s.D; ++d) {  // rows of this block that have ended
    T* __restrict ended = static_cast<T*>(g.d_total) + (d * g.window + s.offsets[t] - g.first) * g.pitch;
    for (int64_t k = rows * g.pitch; k < capacity * g.pitch; ++k) ended[k] = 0;
  }
}

template <typename T> void forward_any(const Sequence& s, int64_t t) {
  if (s.gamma)
    s.mask ? forward<T, true, true>(s, t) : forward<T, true, false>(s, t);
  else
    s.mask ? forward<T, false, true>(s, t) : forward<T, false, false>(s, t);
}

template <typename T> void backward_any(const Sequence& s, const Gradients& g, int64_t t) {
  if (s.gamma)
    s.mask ? backward<T, true, true>(s, g, t) : backward<T, true, false>(s, g, t);
  else
    s.mask ? backward<T, false, true>(s, g, t) : backward<T, false, false>(s, g, t);
}

template <typename T> void mix_row(const Mix& s, int64_t t, int64_t d, int64_t b) {
  const int64_t n = s.n, row = d * s.stride + s.offsets[t] + b;
  const T* bias = static_cast<const T*>(s.bias) + d * 4 * n;
  for (int64_t gate = 0; gate < 4; ++gate) {
    T* __restrict total = static_cast<T*>(s.total) + row * s.pitch + gate * n;
    T* __restrict x = static_cast<T*>(s.from_x) + ((d * s.B + b) * 4 + gate) * n;
    const T* __restrict h = static_cast<const T*>(s.from_h) + row * s.pitch + gate * n;
    const T* __restrict signals = static_cast<const T*>(s.signals) + ((d * 12 + gate) * s.B + b) * n;
    const T* __restrict added = bias + gate * n;
    const int64_t next = 4 * s.B * n;
    if (s.projected) {
      const T* __restrict same = static_cast<const T*>(s.projected) + ((d * s.B + b) * 4 + gate) * n;
#pragma omp simd
      for (int64_t k = 0; k < n; ++k) x[k] += same[k];
    }
#pragma omp simd
    for (int64_t k = 0; k < n; ++k)
      total[k] = signals[k] * x[k] + signals[next + k] * h[k] + signals[2 * next + k] + added[k];
  }
}

template <typename T> void mix_backward_row(const Mix& s, const MixGradients& g, int64_t t, int64_t d, int64_t b) {
  const int64_t n = s.n, row = d * s.stride + s.offsets[t] + b, here = d * g.window + s.offsets[t] - g.first + b;
  for (int64_t gate = 0; gate < 4; ++gate) {
    T* __restrict x = static_cast<T*>(s.from_x) + ((d * s.B + b) * 4 + gate) * n;
    const T* __restrict h = static_cast<const T*>(s.from_h) + row * s.pitch + gate * n;
    const int64_t at = ((d * 12 + gate) * s.B + b) * n, next = 4 * s.B * n;
    const T* __restrict signals = static_cast<const T*>(s.signals) + at;
    T* __restrict d_signals = static_cast<T*>(g.d_signals) + at;
    const T* __restrict d_total = static_cast<const T*>(g.d_total) + here * g.pitch + gate * n;
    T* __restrict d_x = static_cast<T*>(g.d_from_x) + here * g.pitch + gate * n;
    T* __restrict d_h = static_cast<T*>(g.d_from_h) + here * g.pitch + gate * n;
    if (s.projected) {
      const T* __restrict same = static_cast<const T*>(s.projected) + ((d * s.B + b) * 4 + gate) * n;
#pragma omp simd
      for (int64_t k = 0; k < n; ++k) x[k] += same[k];
    }
#pragma omp simd
    for (int64_t k = 0; k < n; ++k) {
      const T given = d_total[k];
      d_x[k] = given * signals[k];
      d_h[k] = given * signals[next + k];
      d_signals[k] = given * x[k];
      d_signals[next + k] = given * h[k];
      d_signals[2 * next + k] = given;
    }
  }
}

template <typename T> void mix(const Mix& s, int64_t t) {
  const int64_t rows = s.rows[t];
#pragma omp parallel for num_threads(s.threads) schedule(static)
  for (int64_t part = 0; part < s.D * s.groups; ++part) {
    const int64_t d = part / s.groups, group = part % s.groups;
    for (int64_t b = rows * group / s.groups; b < rows * (group + 1) / s.groups; ++b) mix_row<T>(s, t, d, b);
  }
}

template <typename T> void mix_backward(const Mix& s, const MixGradients& g, int64_t t) {
  const int64_t rows = s.rows[t], capacity = t == 0 ? s.B : s.rows[t - 1];
#pragma omp parallel for num_threads(s.threads) schedule(static)
  for (int64_t part = 0; part < s.D * s.groups; ++part) {
    const int64_t d = part / s.groups, group = part % s.groups;
    for (int64_t b = rows * group / s.groups; b < rows * (group + 1) / s.groups; ++b)
      mix_backward_row<T>(s, g, t, d, b);
  }
  for (int64_t d = 0; d < s.D; ++d) {  // rows of this block that have ended
    const int64_t here = (d * g.window + s.offsets[t] - g.first) * g.pitch;
    for (int64_t k = here + rows * g.pitch; k < here + capacity * g.pitch; ++k)
      static_cast<T*>(g.d_from_x)[k] = static_cast<T*>(g.d_from_h)[k] = 0;
  }
}

}  // namespace

// A dropout mask of draws.KeyedMask: the words of Philox4x32-10 (philox.py) in place of tensors of them.
struct KeyedMask {
  int64_t B, T, n, threads;
  void* mask;               // [B, T, n]
  const int64_t* lengths;   // [B]: only so many steps of each row are filled; null: all
  const uint32_t* rows;     // [B]
  uint32_t seed, step, name, threshold;
  double kept;              // what a unit that is kept is multiplied by
};

namespace {

// The four words of each unit of a row, for eight steps that begin with `first`: [4, n].
void fill_block(const KeyedMask& m, int64_t b, int64_t first, uint32_t* __restrict out) {
  const int64_t n = m.n;
#pragma omp simd
  for (int64_t k = 0; k < n; ++k) {
    uint32_t c0 = uint32_t(k), c1 = uint32_t(first / 8), c2 = m.rows[b], c3 = m.name;
    uint32_t k0 = m.seed, k1 = m.step;
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t(0xD2511F53u) * c0, p1 = uint64_t(0xCD9E8D57u) * c2;
      const uint32_t high0 = uint32_t(p0 >> 32), high1 = uint32_t(p1 >> 32);
      c0 = high1 ^ c1 ^ k0;
      c1 = uint32_t(p1);
      c2 = high0 ^ c3 ^ k1;
      c3 = uint32_t(p0);
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    out[k] = c0;
    out[n + k] = c1;
    out[2 * n + k] = c2;
    out[3 * n + k] = c3;
  }
}

template <typename T> void fill_mask(const KeyedMask& m, uint32_t* words) {
  const T kept = T(m.kept);
  const uint32_t threshold = m.threshold;
#pragma omp parallel for num_threads(m.threads) schedule(static)
  for (int64_t b = 0; b < m.B; ++b) {
    uint32_t* __restrict here = words + b * 4 * m.n;
    const int64_t steps = m.lengths && m.lengths[b] < m.T ? m.lengths[b] : m.T;
    for (int64_t first = 0; first < steps; first += 8) {
      fill_block(m, b, first, here);
      for (int64_t t = first; t < first + 8 && t < steps; ++t) {
        const uint32_t* __restrict word = here + (t - first) / 2 * m.n;
        T* __restrict out = static_cast<T*>(m.mask) + (b * m.T + t) * m.n;
        const int shift = (t - first) % 2 * 16;
#pragma omp simd
        for (int64_t k = 0; k < m.n; ++k) out[k] = ((word[k] >> shift) & 0xFFFFu) < threshold ? kept : T(0);
      }
    }
  }
}

}  // namespace

extern "C" {
void gates_forward_f32(const Sequence* s, int64_t t) { forward_any<float>(*s, t); }
void gates_forward_f64(const Sequence* s, int64_t t) { forward_any<double>(*s, t); }
void gates_backward_f32(const Sequence* s, const Gradients* g, int64_t t) { backward_any<float>(*s, *g, t); }
void gates_backward_f64(const Sequence* s, const Gradients* g, int64_t t) { backward_any<double>(*s, *g, t); }
void mix_forward_f32(const Mix* s, int64_t t) { mix<float>(*s, t); }
void mix_forward_f64(const Mix* s, int64_t t) { mix<double>(*s, t); }
void mix_backward_f32(const Mix* s, const MixGradients* g, int64_t t) { mix_backward<float>(*s, *g, t); }
void mix_backward_f64(const Mix* s, const MixGradients* g, int64_t t) { mix_backward<double>(*s, *g, t); }
void fill_mask_f32(const KeyedMask* m, uint32_t* words) { fill_mask<float>(*m, words); }
void fill_mask_f64(const KeyedMask* m, uint32_t* words) { fill_mask<double>(*m, words); }
}
