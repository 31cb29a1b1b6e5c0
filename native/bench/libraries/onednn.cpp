// oneDNN with its own layout of the right operand, and with operands that already have the product's type.
#include <memory>
#include <unordered_map>

#include "bench/libraries/library.h"
#include "dnnl.hpp"

namespace vlmr1::bench {

namespace {

using Memory = dnnl::memory;
using Tag = Memory::format_tag;
using Type = Memory::data_type;

// M, N, K of the product, and which operands lie transposed.
struct Gemm {
  int64_t m, n, k;
  Tag left, right;
};

Gemm gemm_of(const Product& p) {
  switch (p.layout) {
    case Layout::kLinear: return {p.tokens, p.out, p.in, Tag::ab, Tag::ba};
    case Layout::kGradInput: return {p.tokens, p.in, p.out, Tag::ab, Tag::ab};
    case Layout::kGradWeight: return {p.out, p.in, p.tokens, Tag::ba, Tag::ab};
  }
  return {};
}

dnnl::matmul::primitive_desc description(const dnnl::engine& engine, const Memory::desc& left,
                                         const Memory::desc& right, const Memory::desc& to,
                                         const dnnl::primitive_attr& attributes) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, left, right, to, attributes};
#else
  return {dnnl::matmul::desc(left, right, to), attributes, engine};
#endif
}

std::function<void()> prepare(const Product& p) {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  static dnnl::stream stream(engine);
  const Gemm g = gemm_of(p);
  const Type type = p.bf16 ? Type::bf16 : Type::f32;
  const Memory::desc plain_left({g.m, g.k}, Type::f32, g.left), plain_right({g.k, g.n}, Type::f32, g.right);
  const Memory::desc to({g.m, g.n}, Type::f32, Tag::ab);
  dnnl::primitive_attr attributes;
  if (p.layout == Layout::kGradWeight) {
    dnnl::post_ops add;
    add.append_sum(1.0f);
    attributes.set_post_ops(add);
  }
  const auto described = description(engine, Memory::desc({g.m, g.k}, type, g.left),
                                     Memory::desc({g.k, g.n}, type, Tag::any), to, attributes);
  Memory left(described.src_desc(), engine), right(described.weights_desc(), engine);
  const auto place = [&](const Memory::desc& from, const float* data, Memory& into) {
    Memory source(from, engine, const_cast<float*>(data));
    dnnl::reorder(source, into).execute(stream, source, into);
  };
  place(plain_left, p.left, left);
  place(plain_right, p.right, right);
  stream.wait();
  const std::unordered_map<int, Memory> arguments{
      {DNNL_ARG_SRC, left}, {DNNL_ARG_WEIGHTS, right}, {DNNL_ARG_DST, Memory(to, engine, p.to)}};
  return [primitive = dnnl::matmul(described), arguments] {
    primitive.execute(stream, arguments);
    stream.wait();
  };
}

std::string version() {
  const dnnl_version_t* v = dnnl_version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

const LibraryRegistration kOneDnn({"oneDNN", version(), prepare});

}  // namespace

}  // namespace vlmr1::bench
