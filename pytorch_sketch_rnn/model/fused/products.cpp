// Matrix products with weights that many steps share: they are packed once, in the order in which they are read. And the
// products that add up the weights' gradients, which pack what they read as they go.
//
// Packed weights [K, N] are panels of two vectors' width of columns, each [K, width], the last one filled up with zeros.
// A tile of kRows rows of the result and one panel's columns is held in registers while K is run through. A thread takes
// whole panels, so no result depends on the number of threads.
#include <cstdint>
#include <cstring>

namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64, kRows = 12;
#elif defined(__AVX__)
constexpr int kBytes = 32, kRows = 6;
#elif defined(__aarch64__)
constexpr int kBytes = 16, kRows = 12;
#else
constexpr int kBytes = 16, kRows = 6;
#endif
constexpr int kPanels = 4;
constexpr int64_t kDepth = 640;  // at most so much of K at a time, so that a panel of it stays in a near cache

template <typename T> struct Vector;
template <> struct Vector<float> {
  typedef float Type __attribute__((vector_size(kBytes)));
};
template <> struct Vector<double> {
  typedef double Type __attribute__((vector_size(kBytes)));
};

template <typename T> constexpr int64_t lanes() { return kBytes / sizeof(T); }
template <typename T> constexpr int64_t panel_width() { return 2 * lanes<T>(); }

template <typename T> inline typename Vector<T>::Type load(const T* from) {
  typename Vector<T>::Type vector;
  std::memcpy(&vector, from, sizeof vector);
  return vector;
}

template <typename T> inline void store(T* to, typename Vector<T>::Type vector) {
  std::memcpy(to, &vector, sizeof vector);
}

// A tile of ROWS rows: c (+)= a panel, for `depth` of K; only `columns` of the panel's columns are written. If a is
// TRANSPOSED, its element (row, k) is kept at (k, row).
template <typename T, int ROWS, bool TRANSPOSED>
void tile(const T* a, int64_t a_stride, const T* panel, int64_t depth, T* c, int64_t c_stride, int64_t columns,
          bool first) {
  using V = typename Vector<T>::Type;
  V sums[ROWS][2] = {};
  for (int64_t k = 0; k < depth; ++k) {
    const V left = load(panel + k * panel_width<T>()), right = load(panel + k * panel_width<T>() + lanes<T>());
#pragma GCC unroll 16
    for (int row = 0; row < ROWS; ++row) {
      const T x = TRANSPOSED ? a[k * a_stride + row] : a[row * a_stride + k];
      sums[row][0] += x * left;
      sums[row][1] += x * right;
    }
  }
  if (columns == panel_width<T>()) {
#pragma GCC unroll 16
    for (int row = 0; row < ROWS; ++row) {
      T* out = c + row * c_stride;
      store(out, first ? sums[row][0] : load(out) + sums[row][0]);
      store(out + lanes<T>(), first ? sums[row][1] : load(out + lanes<T>()) + sums[row][1]);
    }
    return;
  }
#pragma GCC unroll 16
  for (int row = 0; row < ROWS; ++row) {
    T* out = c + row * c_stride;
    T values[panel_width<T>()];
    std::memcpy(values, sums[row], sizeof values);
    for (int64_t k = 0; k < columns; ++k) out[k] = first ? values[k] : out[k] + values[k];
  }
}

template <typename T, int ROWS, bool TRANSPOSED>
void rest(int64_t rows, const T* a, int64_t a_stride, const T* panel, int64_t depth, T* c, int64_t c_stride,
          int64_t columns, bool first) {
  if constexpr (ROWS > 0) {
    if (rows == ROWS)
      tile<T, ROWS, TRANSPOSED>(a, a_stride, panel, depth, c, c_stride, columns, first);
    else
      rest<T, ROWS - 1, TRANSPOSED>(rows, a, a_stride, panel, depth, c, c_stride, columns, first);
  }
}

template <typename T>
void pack(const T* weights, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N, T* to) {
  constexpr int64_t width = panel_width<T>();
  for (int64_t n = 0; n < N; n += width)
    for (int64_t k = 0; k < K; ++k)
      for (int64_t j = 0; j < width; ++j)
        *to++ = n + j < N ? weights[k * row_stride + (n + j) * column_stride] : T(0);
}

// One row with four panels at once: a single one would wait for its own last sum at every k.
template <typename T> void row(const T* a, const T* panels, int64_t panel_stride, int64_t depth, T* c, bool first) {
  using V = typename Vector<T>::Type;
  V sums[kPanels][2] = {};
  for (int64_t k = 0; k < depth; ++k) {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      const T* panel = panels + p * panel_stride + k * panel_width<T>();
      sums[p][0] += a[k] * load(panel);
      sums[p][1] += a[k] * load(panel + lanes<T>());
    }
  }
  T values[kPanels * panel_width<T>()];
  std::memcpy(values, sums, sizeof values);
  for (int64_t k = 0; k < kPanels * panel_width<T>(); ++k) c[k] = first ? values[k] : c[k] + values[k];
}

template <typename T> int64_t panels_of(int64_t columns) { return (columns + panel_width<T>() - 1) / panel_width<T>(); }

// The columns of the panels `begin` to `end` of c = a weights. Each number is summed in the same order, whatever M is.
template <typename T>
void multiply_panels(const T* a, int64_t a_stride, const T* packed, T* c, int64_t c_stride, int64_t M, int64_t K,
                     int64_t N, int64_t begin, int64_t end) {
  constexpr int64_t width = panel_width<T>();
  const int64_t parts = (K + kDepth - 1) / kDepth, depth_of_part = (K + parts - 1) / parts;
  for (int64_t p = begin, together; p < end; p += together) {
    together = M == 1 && p + kPanels <= end && (p + kPanels) * width <= N ? kPanels : 1;
    const int64_t columns = N - p * width < width ? N - p * width : width;
    for (int64_t k = 0; k < K; k += depth_of_part) {
      const int64_t depth = K - k < depth_of_part ? K - k : depth_of_part;
      const T* panel = packed + (p * K + k) * width;
      if (together > 1) row(a + k, panel, K * width, depth, c + p * width, k == 0);
      for (int64_t m = 0; m < M && together == 1; m += kRows) {
        T* to = c + m * c_stride + p * width;
        const T* from = a + m * a_stride + k;
        if (M - m >= kRows)
          tile<T, kRows, false>(from, a_stride, panel, depth, to, c_stride, columns, k == 0);
        else
          rest<T, kRows - 1, false>(M - m, from, a_stride, panel, depth, to, c_stride, columns, k == 0);
      }
    }
  }
}

// c = a weights for each of D matrices: those of a and c are `a_apart` and `c_apart` numbers apart, those of weights follow
// each other.
template <typename T>
void multiply(const T* a, int64_t a_apart, int64_t a_stride, const T* packed, T* c, int64_t c_apart, int64_t c_stride,
              int64_t D, int64_t M, int64_t K, int64_t N, int64_t threads) {
  const int64_t panels = panels_of<T>(N), size = panels * panel_width<T>() * K;
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t part = 0; part < threads; ++part) {
    const int64_t last = D * panels * (part + 1) / threads;
    for (int64_t panel = D * panels * part / threads, end; panel < last; panel = end) {
      const int64_t d = panel / panels;
      end = (d + 1) * panels < last ? (d + 1) * panels : last;
      multiply_panels(a + d * a_apart, a_stride, packed + d * size, c + d * c_apart, c_stride, M, K, N,
                      panel - d * panels, end - d * panels);
    }
  }
}

// c += a^T b, for a [K, M] and b [K, N]. A thread takes whole panels of b's columns and packs each as it comes.
template <typename T>
void add_transposed(const T* a, int64_t a_stride, const T* b, int64_t b_stride, T* c, int64_t c_stride, int64_t M,
                    int64_t K, int64_t N, int64_t threads) {
  constexpr int64_t width = panel_width<T>();
  const int64_t panels = panels_of<T>(N);
#pragma omp parallel for num_threads(threads) schedule(static)
  for (int64_t part = 0; part < threads; ++part) {
    alignas(kBytes) T panel[kDepth * width];
    for (int64_t k = 0; k < K; k += kDepth) {
      const int64_t depth = K - k < kDepth ? K - k : kDepth;
      for (int64_t p = panels * part / threads; p < panels * (part + 1) / threads; ++p) {
        const int64_t columns = N - p * width < width ? N - p * width : width;
        pack(b + k * b_stride + p * width, b_stride, 1, depth, columns, panel);
        for (int64_t m = 0; m < M; m += kRows) {
          const T* from = a + k * a_stride + m;
          T* to = c + m * c_stride + p * width;
          if (M - m >= kRows)
            tile<T, kRows, true>(from, a_stride, panel, depth, to, c_stride, columns, false);
          else
            rest<T, kRows - 1, true>(M - m, from, a_stride, panel, depth, to, c_stride, columns, false);
        }
      }
    }
  }
}

}  // namespace

extern "C" {
int64_t panel_width_f32() { return panel_width<float>(); }
int64_t panel_width_f64() { return panel_width<double>(); }
void pack_f32(const float* weights, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N, float* to) {
  pack(weights, row_stride, column_stride, K, N, to);
}
void pack_f64(const double* weights, int64_t row_stride, int64_t column_stride, int64_t K, int64_t N, double* to) {
  pack(weights, row_stride, column_stride, K, N, to);
}
void multiply_f32(const float* a, int64_t a_apart, int64_t a_stride, const float* packed, float* c, int64_t c_apart,
                  int64_t c_stride, int64_t D, int64_t M, int64_t K, int64_t N, int64_t threads) {
  multiply(a, a_apart, a_stride, packed, c, c_apart, c_stride, D, M, K, N, threads);
}
void multiply_f64(const double* a, int64_t a_apart, int64_t a_stride, const double* packed, double* c, int64_t c_apart,
                  int64_t c_stride, int64_t D, int64_t M, int64_t K, int64_t N, int64_t threads) {
  multiply(a, a_apart, a_stride, packed, c, c_apart, c_stride, D, M, K, N, threads);
}
void add_transposed_f32(const float* a, int64_t a_stride, const float* b, int64_t b_stride, float* c, int64_t c_stride,
                        int64_t M, int64_t K, int64_t N, int64_t threads) {
  add_transposed(a, a_stride, b, b_stride, c, c_stride, M, K, N, threads);
}
void add_transposed_f64(const double* a, int64_t a_stride, const double* b, int64_t b_stride, double* c,
                        int64_t c_stride, int64_t M, int64_t K, int64_t N, int64_t threads) {
  add_transposed(a, a_stride, b, b_stride, c, c_stride, M, K, N, threads);
}
}
