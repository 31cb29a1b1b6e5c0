// Small trees with random queries, keys and values, for the tests of attention.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"

namespace vlmr1::testing {

struct TreePart {
  int32_t length;
  int32_t parent = -1;
  bool causal = true;
};

SegmentTree tree_of(const std::vector<TreePart>& parts);

// With the usual scale, 1 / √size.
AttentionShape heads(int64_t query, int64_t kv, int64_t size, DType products = DType::kF32);

struct Attended {
  SegmentTree tree;
  AttentionShape shape;
  Tensor q, k, v, out, lse;
};

// Numbers of tokens depend on where they are in the batch.
Attended attend(Backend& backend, const std::vector<TreePart>& parts, const AttentionShape& shape);

// The rows of several runs, one run after the other.
Tensor rows_of(Backend& backend, const Tensor& x, const SegmentTree& tree, const std::vector<QueryRun>& runs);

// Feeds `runs` into the store and compares what it answers with the whole tree's attention.
void step(Backend& backend, const Attended& a, KvStore& store, SegmentTree& grown, const std::vector<QueryRun>& runs,
          const std::string& where);

// dq, dk and dv.
std::vector<std::vector<float>> gradients(Backend& backend, const Attended& a, const Tensor& dout);

}  // namespace vlmr1::testing
