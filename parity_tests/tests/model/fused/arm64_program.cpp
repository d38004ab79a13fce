// Prints what the kernels, products and sampling give for inputs from a fixed generator. It is compiled after their
// sources, for two processors, whose numbers must agree.
#include <cstdio>

namespace {

uint64_t state = 88172645463325252ull;

double random_number() {  // xorshift, in -1..1
  state ^= state << 13, state ^= state >> 7, state ^= state << 17;
  return static_cast<double>(state >> 11) / (1ull << 52) - 1;
}

template <typename T> std::vector<T> random_numbers(int64_t count, double scale = 1) {
  std::vector<T> numbers(count);
  for (T& number : numbers) number = T(scale * random_number());
  return numbers;
}

template <typename T> void print(const char* name, const std::vector<T>& numbers) {
  for (size_t k = 0; k < numbers.size(); ++k) std::printf("%s %zu %.17g\n", name, k, double(numbers[k]));
}

const int64_t kRowsOfSteps[] = {5, 4, 2}, kOffsets[] = {0, 5, 9, 11}, kOrder[] = {4, 2, 0, 1, 3};
constexpr int64_t D = 2, B = 5, T_ = 3, S = 11 + 2;  // the last block has the rows of the last step

template <typename T> void gates(int64_t n, bool norm, bool mask) {
  const int64_t width = n + 3, groups = 2, pitch = 4 * n + 5;
  auto total = random_numbers<T>(D * S * pitch, 3), projected = random_numbers<T>(D * B * 4 * n);
  auto c = random_numbers<T>(D * S * n), Z = random_numbers<T>(D * S * width), numbers = random_numbers<T>(D * B * T_ * n);
  std::vector<std::vector<T>> norms = {random_numbers<T>(D * 4 * n), random_numbers<T>(D * 4 * n),
                                       random_numbers<T>(D * n), random_numbers<T>(D * n)};
  std::vector<T> deviation(D * S * 4), normal_c(D * S * n), deviation_c(D * S);
  Sequence s = {D, B, n, S, pitch, width, groups, 1, kRowsOfSteps, kOffsets, total.data(), projected.data(), c.data(),
                Z.data(), nullptr, B * T_ * n, T_ * n, n, kOrder};
  if (mask) s.mask = numbers.data();
  if (norm) {
    s.gamma = norms[0].data(), s.beta = norms[1].data(), s.gamma_c = norms[2].data(), s.beta_c = norms[3].data();
    s.deviation = deviation.data(), s.normal_c = normal_c.data(), s.deviation_c = deviation_c.data();
    s.epsilon = 1e-3;
  }
  for (int64_t t = 0; t < T_; ++t) forward_any<T>(s, t);
  print("gates forward c", c), print("gates forward Z", Z);
  auto d_outputs = random_numbers<T>(D * (S - B) * n), d_h = random_numbers<T>(D * B * n), d_c = random_numbers<T>(D * B * n);
  std::vector<T> d_total(D * S * pitch), scratch(D * groups * n);
  std::vector<std::vector<T>> d_norms = {std::vector<T>(D * groups * 4 * n), std::vector<T>(D * groups * 4 * n),
                                         std::vector<T>(D * groups * n), std::vector<T>(D * groups * n)};
  Gradients g = {d_outputs.data(), d_h.data(), d_c.data(), d_total.data(), S, 0, pitch, d_norms[0].data(), d_norms[1].data(),
                 d_norms[2].data(), d_norms[3].data(), scratch.data()};
  for (int64_t t = T_ - 1; t >= 0; --t) backward_any<T>(s, g, t);
  print("gates backward d_total", d_total), print("gates backward d_c", d_c);
  for (auto& each : d_norms) print("gates backward d_norm", each);
}

template <typename T> void mixes(int64_t n) {
  auto from_x = random_numbers<T>(D * B * 4 * n), projected = random_numbers<T>(D * B * 4 * n);
  const int64_t pitch = 4 * n + 5;
  auto from_h = random_numbers<T>(D * S * pitch), bias = random_numbers<T>(D * 4 * n);
  auto signals = random_numbers<T>(D * 12 * B * n), d_total = random_numbers<T>(D * S * pitch);
  std::vector<T> total(D * S * pitch), d_x(D * S * pitch), d_h(D * S * pitch), d_signals(D * 12 * B * n);
  Mix s = {D, B, n, S, pitch, 2, 1, kRowsOfSteps, kOffsets, total.data(), from_x.data(), projected.data(), from_h.data(),
           bias.data(), signals.data()};
  MixGradients g = {d_total.data(), S, 0, pitch, d_x.data(), d_h.data(), d_signals.data()};
  for (int64_t t = 0; t < T_; ++t) mix<T>(s, t);
  print("mix total", total);
  for (int64_t t = T_ - 1; t >= 0; --t) mix_backward<T>(s, g, t);
  print("mix d_x", d_x), print("mix d_h", d_h), print("mix d_signals", d_signals);
}

template <typename T> void masks() {
  const uint32_t rows[] = {7, 4, 3};
  const int64_t lengths[] = {11, 1, 20};
  std::vector<T> mask(3 * 20 * 9, T(-1));
  std::vector<uint32_t> words(3 * 4 * 9);
  KeyedMask m = {3, 20, 9, 1, mask.data(), lengths, rows, 12345, 6, 789, 58982, 1 / 0.9};
  fill_mask<T>(m, words.data());
  print("mask", mask);
}

template <typename T> std::vector<T> packed(int64_t K, int64_t N, double scale) {
  auto weights = random_numbers<T>(K * N, scale);
  std::vector<T> result(K * panels_of<T>(N) * panel_width<T>());
  pack(weights.data(), N, 1, K, N, result.data());
  return result;
}

template <typename T> void products() {
  for (int64_t M : {1, 2, 13, 30})
    for (int64_t N : {1, 37, 150})
      for (int64_t K : {1, 700}) {
        auto a = random_numbers<T>(2 * M * K);
        auto weights = packed<T>(K, N, 1), second = packed<T>(K, N, 1);
        weights.insert(weights.end(), second.begin(), second.end());
        std::vector<T> out(2 * M * N);
        multiply(a.data(), M * K, K, weights.data(), out.data(), M * N, N, int64_t(2), M, K, N, int64_t(1));
        print("product", out);
        auto b = random_numbers<T>(K * N), sums = random_numbers<T>(M * N);  // a is read as [K, M]
        add_transposed(a.data(), M, b.data(), N, sums.data(), N, M, K, N, int64_t(1));
        print("added product", sums);
      }
}

template <typename T> void sketches(bool norm, bool hyper) {
  const int64_t n = 19, m = hyper ? 6 : 0, e = hyper ? 4 : 0, M = 3, rows = 100, steps = 6, width = m + n + 5 + 2;
  auto W = packed<T>(width, 4 * (hyper ? m : n), 0.3), output_w = packed<T>(n, 3 + 6 * M, 0.3);
  auto W_xh = packed<T>(5, 4 * n, 0.3), W_hh = packed<T>(n, 4 * n, 0.3), W_embedding = packed<T>(std::max<int64_t>(m, 1), 12 * e, 0.3);
  std::vector<T> W_signal;
  int64_t stride = 0;
  for (int signal = 0; signal < 12 && hyper; ++signal) {
    auto one = packed<T>(e, n, 0.3);
    stride = one.size(), W_signal.insert(W_signal.end(), one.begin(), one.end());
  }
  std::vector<std::vector<T>> v;
  for (int64_t size : {3 + 6 * M, 4 * n, 4 * n, n, n, 4 * n, 4 * m, 4 * m, m, m, 12 * e}) v.push_back(random_numbers<T>(size));
  Decoder d = {n, width, M, W.data(), output_w.data(), v[0].data()};
  if (norm) d.gamma = v[1].data(), d.beta = v[2].data(), d.gamma_c = v[3].data(), d.beta_c = v[4].data();
  d.m = m, d.e = e, d.W_xh = W_xh.data(), d.W_hh = W_hh.data(), d.bias = v[5].data();
  d.inner_gamma = v[6].data(), d.inner_beta = v[7].data(), d.inner_gamma_c = v[8].data(), d.inner_beta_c = v[9].data();
  d.W_embedding = W_embedding.data(), d.b_embedding = v[10].data(), d.W_signal = W_signal.data(), d.signal_stride = stride;
  auto point = random_numbers<T>(rows * 5), h = random_numbers<T>(rows * n), c = random_numbers<T>(rows * n);
  auto inner_h = random_numbers<T>(rows * m), inner_c = random_numbers<T>(rows * m);
  auto projected = random_numbers<T>(rows * 4 * n), projected_inner = random_numbers<T>(rows * 4 * m);
  auto component = random_numbers<T>(rows * steps), pen = random_numbers<T>(rows * steps), offset = random_numbers<T>(rows * steps * 2);
  for (T& x : component) x = std::fabs(x);
  for (T& x : pen) x = std::fabs(x);
  std::vector<T> offsets(rows * steps * 2);
  std::vector<int64_t> pens(rows * steps, 2);
  Sketches s = {rows, steps, 1, point.data(), h.data(), c.data(), inner_h.data(), inner_c.data(), projected.data(),
                hyper ? projected_inner.data() : nullptr, nullptr, component.data(), pen.data(), offset.data(), 0.8,
                offsets.data(), pens.data()};
  draw<T>(d, s);
  print("sketches offsets", offsets), print("sketches pens", pens), print("sketches h", h);
}

template <typename T> void everything() {
  for (bool norm : {false, true})
    for (bool mask : {false, true})
      for (int64_t n : {1, 16, 19}) gates<T>(n, norm, mask);
  mixes<T>(19);
  masks<T>();
  products<T>();
  sketches<T>(false, false), sketches<T>(true, false), sketches<T>(true, true);
}

}  // namespace

int main(int, char** arguments) {
  arguments[1][0] == 'd' ? everything<double>() : everything<float>();
}
