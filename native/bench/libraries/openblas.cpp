// OpenBLAS, which packs both operands in every call and has no product of bf16 in most builds.
#include <cblas.h>

#include "bench/libraries/library.h"

namespace vlmr1::bench {

namespace {

std::function<void()> prepare(const Product& p) {
  if (p.bf16) return {};
  const auto t = static_cast<blasint>(p.tokens), f = static_cast<blasint>(p.out), e = static_cast<blasint>(p.in);
  switch (p.layout) {
    case Layout::kLinear:
      return [=] {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, t, f, e, 1.0f, p.left, e, p.right, e, 0.0f, p.to, f);
      };
    case Layout::kGradInput:
      return [=] {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, t, e, f, 1.0f, p.left, f, p.right, e, 0.0f, p.to, e);
      };
    case Layout::kGradWeight:
      return [=] {
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, f, e, t, 1.0f, p.left, f, p.right, e, 1.0f, p.to, e);
      };
  }
  return {};
}

std::string version() {
  const std::string text = openblas_get_config();  // "OpenBLAS 0.3.21 NO_LAPACKE …"
  const size_t first = text.find(' ') + 1;
  return text.substr(first, text.find(' ', first) - first);
}

const LibraryRegistration kOpenBlas({"OpenBLAS", version(), prepare});

}  // namespace

}  // namespace vlmr1::bench
