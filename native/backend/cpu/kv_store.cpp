// The keys and values of a tree, kept between calls.
#include "backend/cpu/kv_store.h"

#include <algorithm>
#include <functional>

#include "backend/cpu/cpu_backend.h"

namespace vlmr1::cpu {

void check_attention_shape(const AttentionShape& s) {
  check(s.kv_heads > 0 && s.query_heads > 0 && s.query_heads % s.kv_heads == 0, ErrorCode::kShape,
        "attention: ", s.query_heads, " query heads are not a multiple of ", s.kv_heads, " key/value heads");
  check(s.query_heads / s.kv_heads <= kQueryRows, ErrorCode::kShape, "attention: more than ", kQueryRows,
        " query heads share a key/value head");
  check(s.head_size > 0 && s.head_size <= kMaxHeadSize, ErrorCode::kShape, "attention: expected a head size up to ",
        kMaxHeadSize, ", got ", s.head_size);
}

namespace {

// New tokens of one block.
struct FreshKeys {
  float* block;
  int first, count;
  int64_t row;  // in the tensors
};

// By block, in their order: those of one block are packed by one task.
std::vector<FreshKeys> fresh_keys(CpuKvStore& store, const std::vector<QueryRun>& runs,
                                  const std::vector<int64_t>& rows) {
  std::vector<FreshKeys> fresh;
  for (size_t r = 0; r < runs.size(); ++r) {
    const QueryRun& run = runs[r];
    for (int32_t done = 0; done < run.count;) {
      const int32_t at = run.first + done;
      const int32_t count = std::min(run.count - done, kKeyBlock - at % kKeyBlock);
      fresh.push_back({store.segments()[run.segment].blocks[at / kKeyBlock], at % kKeyBlock, count, rows[r] + done});
      done += count;
    }
  }
  std::sort(fresh.begin(), fresh.end(), [](const FreshKeys& a, const FreshKeys& b) {
    return a.block == b.block ? a.row < b.row : std::less<>()(a.block, b.block);
  });
  return fresh;
}

// Where another block begins, and the end.
std::vector<int64_t> block_starts(const std::vector<FreshKeys>& fresh) {
  std::vector<int64_t> starts;
  for (size_t i = 0; i < fresh.size(); ++i)
    if (i == 0 || fresh[i].block != fresh[i - 1].block) starts.push_back(static_cast<int64_t>(i));
  starts.push_back(static_cast<int64_t>(fresh.size()));
  return starts;
}

}  // namespace

void pack_keys_values(const KernelTable& kernels, const AttentionShape& shape, const float* k, const float* v,
                      int first, int count, float* block) {
  AttentionKeys t{};
  t.stride = shape.kv_heads * shape.head_size;
  t.first = first;
  t.count = count;
  t.head_size = shape.head_size;
  t.pairs = shape.products == DType::kBF16;
  t.x = k;
  t.transposed = block;
  kernels.attention_pack_keys(t);
  t.x = v;
  t.transposed = nullptr;
  t.rows = block + transposed_words(shape);
  kernels.attention_pack_keys(t);
}

std::unique_ptr<KvStore> CpuBackend::kv_create(const AttentionShape& shape) {
  check_attention_shape(shape);
  return std::make_unique<CpuKvStore>(shape, MemoryKind::kKvCache);
}

void CpuBackend::kv_release(KvStore& store, int32_t segment) {
  auto& segments = static_cast<CpuKvStore&>(store).segments();
  if (segment < static_cast<int32_t>(segments.size())) segments[segment] = {};
}

// Blocks stay with the segment: what comes next overwrites what they held.
void CpuBackend::kv_truncate(KvStore& store, int32_t segment, int64_t length) {
  auto& segments = static_cast<CpuKvStore&>(store).segments();
  if (segment < static_cast<int32_t>(segments.size()))
    segments[segment].length = std::min(segments[segment].length, length);
}

void CpuBackend::kv_append(KvStore& store, const std::vector<QueryRun>& runs, const Tensor& k, const Tensor& v) {
  std::vector<int64_t> rows;
  int64_t row = 0;
  for (const QueryRun& run : runs) {
    rows.push_back(row);
    row += run.count;
  }
  append_rows(store, runs, rows, k, v);
}

void CpuBackend::append_rows(KvStore& base, const std::vector<QueryRun>& runs, const std::vector<int64_t>& rows,
                             const Tensor& k, const Tensor& v) {
  CpuKvStore& store = static_cast<CpuKvStore&>(base);
  auto& segments = store.segments();
  const MemoryScope scope(store.kind());
  for (const QueryRun& run : runs) {
    if (run.segment >= static_cast<int32_t>(segments.size())) segments.resize(run.segment + 1);
    CpuKvStore::Segment& s = segments[run.segment];
    check(run.first == s.length, ErrorCode::kState, "kv_append: expected token ", s.length, ", got ", run.first);
    s.length += run.count;
    const int64_t have = static_cast<int64_t>(s.blocks.size());
    const int64_t fresh = (s.length + kKeyBlock - 1) / kKeyBlock - have;
    if (fresh <= 0) continue;
    // One slab for the segment's new blocks, so that it gives back all it has when it is released; a vector past the
    // end, where kernels read whole vectors.
    s.slabs.push_back(memory_->allocate((fresh * store.block_words() + kHeadStride) * sizeof(float)));
    float* first = static_cast<float*>(s.slabs.back()->data);
    for (int64_t i = 0; i < fresh; ++i) s.blocks.push_back(first + i * store.block_words());
  }
  kv_pack(store, runs, rows, k.data<float>(), v.data<float>());
}

void CpuBackend::kv_pack(KvStore& base, const std::vector<QueryRun>& runs, const std::vector<int64_t>& rows,
                         const float* k, const float* v) {
  CpuKvStore& store = static_cast<CpuKvStore&>(base);
  const AttentionShape shape = store.shape();
  const auto fresh = fresh_keys(store, runs, rows);
  const auto starts = block_starts(fresh);
  const int64_t blocks = static_cast<int64_t>(starts.size()) - 1;
  int64_t tokens = 0;
  for (const FreshKeys& f : fresh) tokens += f.count;
  const auto pack = [&](const FreshKeys& f, int64_t head) {
    const int64_t stride = shape.kv_heads * shape.head_size;
    const int64_t at = f.row * stride + head * shape.head_size;
    pack_keys_values(kernels_, shape, k + at, v + at, f.first, f.count, f.block + head * store.head_words());
  };
  // About so many numbers to a task; heads that lie side by side in k and v follow each other.
  const int64_t grain = std::max<int64_t>(1, 32'768 * blocks / std::max<int64_t>(1, tokens * shape.head_size));
  ranges(blocks * shape.kv_heads, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t block = task / shape.kv_heads;
      for (int64_t i = starts[block]; i < starts[block + 1]; ++i) pack(fresh[i], task % shape.kv_heads);
    }
  });
}

}  // namespace vlmr1::cpu
