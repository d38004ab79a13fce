// Drawing sketches: the steps of a decoder, and the choice of each point, for many sketches at once.
//
// It is compiled together with kernels.cpp and products.cpp, whose steps and products it uses. The equations are those
// of model/sampler.py. A sketch that ends leaves the others. No number depends on the other sketches or on threads.
#include <algorithm>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

// A decoder whose cell has n units, and M components. Matrices are packed (products.cpp).
struct Decoder {
  int64_t n, width, M;
  const void *W, *output_w, *output_b;            // of [h, x, 0] [width, 4 n]; [n, 3 + 6 M]; [3 + 6 M]
  const void *gamma, *beta, *gamma_c, *beta_c;    // null for an LSTM
  int64_t m, e;                                   // of a HyperLSTM: units of its inner cell, size of embeddings; else 0
  const void *W_xh, *W_hh, *bias;                 // [5, 4 n], [n, 4 n], [4 n]; then W reads [inner h, h, x, 0] [, 4 m]
  const void *inner_gamma, *inner_beta, *inner_gamma_c, *inner_beta_c;
  const void *W_embedding, *b_embedding;          // [m, 12 e], [12 e]
  const void* W_signal;                           // twelve of [e, n]
  int64_t signal_stride;                          // numbers between two of them
  double epsilon;                                 // of the layer norms
};

// The sketches, and a block of their steps. What has the `rows` of sketches that have not ended is changed in place.
struct Sketches {
  int64_t rows, steps, threads;
  void *point, *h, *c, *inner_h, *inner_c;        // [rows, 5], [rows, n], [rows, n], [rows, m], [rows, m]
  const void *projected, *projected_inner;        // [rows, 4 n], [rows, 4 m]; may be null
  void* outputs;                                  // [rows, 3 + 6 M]: if it is there, one step computes it and no more
  const void *component, *pen, *offset;           // random numbers [rows, steps], [rows, steps], [rows, steps, 2]
  double temperature;
  void* offsets;                                  // [rows, steps, 2]
  int64_t* pens;                                  // [rows, steps]
};

namespace {

constexpr int64_t kInputs = 5, kSignals = 12;
constexpr int64_t kTogether = 96;  // sketches whose steps a thread computes by itself: a multiple of kRows
constexpr int64_t kEnd = 2;

// The threads that compute the same sketches: each one some panels of a product, and some rows of the rest.
struct Team {
  int64_t index, size;
  void wait() const {
    if (size > 1) {
#pragma omp barrier
    }
  }
};

Team team_of_this_thread() {
#ifdef _OPENMP
  return {omp_get_thread_num(), omp_get_num_threads()};
#else
  return {0, 1};
#endif
}

// At a temperature, the first index at which the cumulative sum of the softmax of `logits` reaches x, else the last.
template <typename T> int64_t pick(T x, const T* logits, int64_t count, T temperature, T* work) {
  const T largest = *std::max_element(logits, logits + count);
  T sum = 0, largest_log = -std::numeric_limits<T>::infinity();
  for (int64_t k = 0; k < count; ++k) sum += work[k] = std::exp(logits[k] - largest);
  for (int64_t k = 0; k < count; ++k) {
    work[k] = std::log(work[k] / sum);  // a probability that rounds to 0 stays 0 at every temperature
    largest_log = work[k] > largest_log ? work[k] : largest_log;
  }
  sum = 0;
  for (int64_t k = 0; k < count; ++k) sum += work[k] = std::exp((work[k] - largest_log) / temperature);
  T cumulated = 0;
  int64_t below = 0;
  for (int64_t k = 0; k < count; ++k) {
    cumulated += work[k] / sum;
    below += cumulated < x;
  }
  return std::min(below, count - 1);
}

// Sketches whose steps are computed together. Their states lie in two blocks of rows in turns: a step reads one and
// writes the other.
template <typename T> class Chunk {
 public:
  Chunk(const Decoder& decoder, const Sketches& sketches, int64_t first, int64_t rows)
      : d_(decoder), s_(sketches), first_(first), capacity_(rows), rows_(rows), offsets_{0, rows, 0},
        parameters_(3 + 6 * decoder.M), ids_(rows), work_(decoder.M + 3) {
    const int64_t n = d_.n, m = d_.m;
    Z_.resize(2 * rows * d_.width);
    c_.resize(2 * rows * n), total_.resize(2 * rows * 4 * n);
    out_.resize(rows * parameters_);
    if (d_.gamma) normal_c_.resize(2 * rows * n), deviations_.resize(2 * rows * 5);
    if (m) {
      inner_c_.resize(2 * rows * m), inner_total_.resize(2 * rows * 4 * m), inner_normal_c_.resize(2 * rows * m);
      inner_deviations_.resize(2 * rows * 5);
      from_x_.resize(rows * 4 * n), from_h_.resize(2 * rows * 4 * n), embedded_.resize(rows * kSignals * d_.e);
      signals_.resize(kSignals * rows * n);
    }
    copy(projected_, s_.projected, 4 * n), copy(projected_inner_, s_.projected_inner, 4 * m);
    for (int64_t b = 0; b < rows; ++b) {
      ids_[b] = first + b;
      T* z = Z_.data() + b * d_.width;
      put(z, s_.inner_h, b, m), put(z + m, s_.h, b, n), put(z + m + n, s_.point, b, kInputs);
      put(c_.data() + b * n, s_.c, b, n);
      if (m) put(inner_c_.data() + b * m, s_.inner_c, b, m);
    }
  }

  void run(Team team) {
    for (int64_t step = 0; step < s_.steps && rows_ > 0; ++step) {
      compute(step % 2, team);
      if (team.index == 0) s_.outputs ? give_outputs() : choose(step);
      team.wait();
    }
    if (team.index == 0) give_states(s_.steps % 2);
  }

 private:
  void copy(std::vector<T>& to, const void* from, int64_t columns) {
    const T* rows = static_cast<const T*>(from) + first_ * columns;
    if (from) to.assign(rows, rows + capacity_ * columns);
  }

  void put(T* to, const void* from, int64_t b, int64_t columns) {
    std::copy_n(static_cast<const T*>(from) + (first_ + b) * columns, columns, to);
  }

  void give(void* to, int64_t b, const T* from, int64_t columns) {
    std::copy_n(from, columns, static_cast<T*>(to) + ids_[b] * columns);
  }

  T* Z(int64_t block) { return Z_.data() + offsets_[block] * d_.width; }

  void product(const T* a, int64_t a_stride, const void* packed, T* out, int64_t out_stride, int64_t K, int64_t N,
               Team team) {
    const int64_t panels = panels_of<T>(N);
    multiply_panels(a, a_stride, static_cast<const T*>(packed), out, out_stride, rows_, K, N,
                    panels * team.index / team.size, panels * (team.index + 1) / team.size);
  }

  Sequence sequence(int64_t units, T* total, const std::vector<T>& projected, T* c, T* h, std::vector<T>& normal_c,
                    std::vector<T>& deviations) {
    Sequence s = {};
    s.D = 1, s.B = capacity_, s.n = units, s.stride = 2 * capacity_, s.pitch = 4 * units;
    s.width = d_.width, s.offsets = offsets_, s.epsilon = d_.epsilon;
    s.total = total, s.projected = projected.empty() ? nullptr : projected.data(), s.c = c, s.h = h;
    s.normal_c = normal_c.data(), s.deviation = deviations.data(), s.deviation_c = deviations.data() + 8 * capacity_;
    return s;
  }

  // One step: from the states in a block to those in the other one, and to the mixtures' parameters.
  void compute(int64_t t, Team team) {
    const int64_t n = d_.n, m = d_.m, width = d_.width;
    T *before = Z(t), *after = Z(t + 1), *total = total_.data() + offsets_[t] * 4 * n;
    static const std::vector<T> none;
    if (m) {
      T* inner_total = inner_total_.data() + offsets_[t] * 4 * m;
      product(before, width, d_.W, inner_total, 4 * m, width, 4 * m, team);
      product(before + m, width, d_.W_hh, from_h_.data() + offsets_[t] * 4 * n, 4 * n, n, 4 * n, team);
      product(before + m + n, width, d_.W_xh, from_x_.data(), 4 * n, kInputs, 4 * n, team);
      team.wait();
      Sequence inner = sequence(m, inner_total_.data(), projected_inner_, inner_c_.data(), Z_.data(), inner_normal_c_,
                                inner_deviations_);
      inner.gamma = d_.inner_gamma, inner.beta = d_.inner_beta;
      inner.gamma_c = d_.inner_gamma_c, inner.beta_c = d_.inner_beta_c;
      for (int64_t b = team.index; b < rows_; b += team.size) forward_row<T, true, false>(inner, t, 0, b);
      team.wait();
      const int64_t columns = kSignals * d_.e;
      product(after, width, d_.W_embedding, embedded_.data(), columns, m, columns, team);
      team.wait();
      const T* shift = static_cast<const T*>(d_.b_embedding);
      for (int64_t b = team.index; b < rows_; b += team.size)
        for (int64_t k = 0; k < columns; ++k) embedded_[b * columns + k] += shift[k];
      team.wait();
      for (int64_t signal = 0; signal < kSignals; ++signal)
        product(embedded_.data() + signal * d_.e, columns, static_cast<const T*>(d_.W_signal) + signal * d_.signal_stride,
                signals_.data() + signal * capacity_ * n, n, d_.e, n, team);
      team.wait();
      Mix mix = {};
      mix.D = 1, mix.B = capacity_, mix.n = n, mix.stride = 2 * capacity_, mix.pitch = 4 * n;
      mix.offsets = offsets_;
      mix.total = total_.data(), mix.from_x = from_x_.data(), mix.from_h = from_h_.data(), mix.bias = d_.bias;
      mix.projected = projected_.empty() ? nullptr : projected_.data(), mix.signals = signals_.data();
      for (int64_t b = team.index; b < rows_; b += team.size) mix_row<T>(mix, t, 0, b);
    } else {
      product(before, width, d_.W, total, 4 * n, width, 4 * n, team);
    }
    team.wait();
    Sequence outer = sequence(n, total_.data(), m ? none : projected_, c_.data(), Z_.data() + m, normal_c_, deviations_);
    outer.gamma = d_.gamma, outer.beta = d_.beta, outer.gamma_c = d_.gamma_c, outer.beta_c = d_.beta_c;
    for (int64_t b = team.index; b < rows_; b += team.size)
      d_.gamma ? forward_row<T, true, false>(outer, t, 0, b) : forward_row<T, false, false>(outer, t, 0, b);
    team.wait();
    product(after + m, width, d_.output_w, out_.data(), parameters_, n, parameters_, team);
    team.wait();
  }

  const T* parameters(int64_t b) {
    T* out = out_.data() + b * parameters_;
    for (int64_t k = 0; k < parameters_; ++k) out[k] += static_cast<const T*>(d_.output_b)[k];
    return out;
  }

  void give_outputs() {
    for (int64_t b = 0; b < rows_; ++b) give(s_.outputs, b, parameters(b), parameters_);
  }

  // The next points, which the next step reads; the sketches that have ended are left out.
  void choose(int64_t step) {
    const int64_t t = step % 2;
    for (int64_t b = rows_ - 1; b >= 0; --b) {
      const int64_t at = ids_[b] * s_.steps + step;
      T* point = Z(t + 1) + b * d_.width + d_.m + d_.n;
      const int64_t pen = choose_point(parameters(b), at, point);
      s_.pens[at] = pen;
      if (pen == kEnd) leave_out(b, t + 1);
    }
  }

  int64_t choose_point(const T* parameters, int64_t at, T* point) {
    const T temperature = T(s_.temperature);
    const T *component = static_cast<const T*>(s_.component), *pens = static_cast<const T*>(s_.pen);
    const T* e = static_cast<const T*>(s_.offset) + 2 * at;
    T* offset = static_cast<T*>(s_.offsets) + 2 * at;
    const T* mixture = parameters + 3;  // pi, mu1, mu2, log sigma1, log sigma2, corr; M numbers each
    const int64_t k = pick(component[at], mixture, d_.M, temperature, work_.data());
    const int64_t pen = pick(pens[at], parameters, 3, temperature, work_.data());
    auto of = [&](int64_t number) { return mixture[number * d_.M + k]; };
    const T corr = std::tanh(of(5)), rest = T(1) - corr * corr;
    offset[0] = of(1) + temperature * std::exp(of(3)) * e[0];
    offset[1] = of(2) + temperature * std::exp(of(4)) * (corr * e[0] + std::sqrt(rest < 0 ? T(0) : rest) * e[1]);
    point[0] = offset[0], point[1] = offset[1];
    for (int64_t state = 0; state < 3; ++state) point[2 + state] = state == pen;
    return pen;
  }

  // The last row takes the place of row b, in a block.
  void leave_out(int64_t b, int64_t block) {
    const int64_t last = --rows_;
    if (b == last) return;
    ids_[b] = ids_[last];
    auto move = [&](T* rows, int64_t columns) { std::copy_n(rows + last * columns, columns, rows + b * columns); };
    move(Z(block), d_.width), move(c_.data() + offsets_[block] * d_.n, d_.n);
    if (d_.m) move(inner_c_.data() + offsets_[block] * d_.m, d_.m);
    if (!projected_.empty()) move(projected_.data(), 4 * d_.n);
    if (!projected_inner_.empty()) move(projected_inner_.data(), 4 * d_.m);
  }

  void give_states(int64_t block) {
    const int64_t n = d_.n, m = d_.m;
    for (int64_t b = 0; b < rows_; ++b) {
      const T* z = Z(block) + b * d_.width;
      give(s_.h, b, z + m, n);
      if (!s_.outputs) give(s_.point, b, z + m + n, kInputs);
      give(s_.c, b, c_.data() + (offsets_[block] + b) * n, n);
      if (m) give(s_.inner_h, b, z, m), give(s_.inner_c, b, inner_c_.data() + (offsets_[block] + b) * m, m);
    }
  }

  const Decoder& d_;
  const Sketches& s_;
  int64_t first_, capacity_, rows_;
  int64_t offsets_[3];
  int64_t parameters_;
  std::vector<int64_t> ids_;  // the sketch in each row
  std::vector<T> work_, Z_, c_, total_, out_, normal_c_, deviations_, projected_;
  std::vector<T> inner_c_, inner_total_, inner_normal_c_, inner_deviations_, projected_inner_;
  std::vector<T> from_x_, from_h_, embedded_, signals_;
};

template <typename T> void draw(const Decoder& decoder, const Sketches& sketches) {
  const int64_t rows = sketches.rows, threads = sketches.threads;
  if (rows < 2 * threads) {  // all threads for the same sketches
    Chunk<T> chunk(decoder, sketches, 0, rows);
#pragma omp parallel num_threads(threads)
    chunk.run(team_of_this_thread());
    return;
  }
  const int64_t together = std::min(kTogether, (rows + threads - 1) / threads);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
  for (int64_t first = 0; first < rows; first += together)
    Chunk<T>(decoder, sketches, first, std::min(together, rows - first)).run(Team{0, 1});
}

}  // namespace

extern "C" {
void draw_f32(const Decoder* decoder, const Sketches* sketches) { draw<float>(*decoder, *sketches); }
void draw_f64(const Decoder* decoder, const Sketches* sketches) { draw<double>(*decoder, *sketches); }
}
