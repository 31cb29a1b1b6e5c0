// What everything stands on: memory pool, tensors, segment trees, random numbers, bf16, instruction sets.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <set>
#include <string>

#if defined(__linux__)
#include <unistd.h>
#endif

#include "backend/backend.h"
#include "core/memory_pool.h"
#include "core/random.h"
#include "core/segments.h"
#include "tests/testing.h"

namespace vlmr1 {
namespace {

using namespace testing;

// -- Memory.

TEST(core_memory_is_counted_and_used_again) {
  const auto pool = std::make_shared<MemoryPool>();
  auto a = pool->allocate(1000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a->data) % 64, 0);
  EXPECT_TRUE(a->bytes >= 1000);
  const size_t one = pool->used();
  EXPECT_EQ(one, 1000u);
  auto b = pool->allocate(1000);
  EXPECT_TRUE(a->data != b->data);
  EXPECT_EQ(pool->used(), 2 * one);
  EXPECT_EQ(pool->peak(), 2 * one);
  void* place = b->data;
  b.reset();
  EXPECT_EQ(pool->used(), one);
  EXPECT_EQ(pool->peak(), 2 * one);
  EXPECT_EQ(pool->held(), 2 * one);  // kept for reuse
  b = pool->allocate(990);
  EXPECT_EQ(b->data, place);
  a.reset();
  b.reset();
  EXPECT_EQ(pool->used(), 0);
  EXPECT_EQ(pool->held(), 2 * one);
  pool->trim();
  EXPECT_EQ(pool->held(), 0);
  EXPECT_EQ(pool->peak(), 2 * one);
}

TEST(core_memory_reuse_wastes_at_most_as_much_as_is_asked_for) {
  const auto pool = std::make_shared<MemoryPool>();
  pool->allocate(64 * 1024);  // given back at once
  const auto small = pool->allocate(1024);
  EXPECT_EQ(pool->held(), pool->used() + 64 * 1024);
  const auto fits = pool->allocate(40 * 1024);
  EXPECT_EQ(fits->bytes, 64 * 1024);
  EXPECT_EQ(pool->held(), 65 * 1024);
}

TEST(core_memory_that_stays_takes_no_larger_block) {
  const auto pool = std::make_shared<MemoryPool>();
  pool->allocate(64 * 1024);  // given back at once
  const MemoryScope scope(MemoryKind::kWeights);
  auto lasting = pool->allocate(40 * 1024);
  EXPECT_EQ(lasting->bytes, 40 * 1024);
  EXPECT_EQ(pool->held(), pool->used() + 64 * 1024);
  const void* place = lasting->data;
  lasting.reset();
  EXPECT_TRUE(pool->allocate(40 * 1024)->data == place);
}

TEST(core_memory_never_overlaps) {
  const auto pool = std::make_shared<MemoryPool>();
  std::vector<std::shared_ptr<Storage>> live;
  std::vector<uint8_t> marks;
  for (uint64_t i = 0; i < 2000; ++i) {
    if (live.size() > 20 || (!live.empty() && random_bits(1, i, 0, 0) % 3 == 0)) {
      const size_t at = random_bits(2, i, 0, 0) % live.size();
      const auto* bytes = static_cast<const uint8_t*>(live[at]->data);
      EXPECT_TRUE(std::all_of(bytes, bytes + live[at]->bytes, [&](uint8_t b) { return b == marks[at]; }));
      live.erase(live.begin() + static_cast<int64_t>(at));
      marks.erase(marks.begin() + static_cast<int64_t>(at));
    } else {
      live.push_back(pool->allocate(random_bits(3, i, 0, 0) % 20'000));
      marks.push_back(static_cast<uint8_t>(i));
      std::memset(live.back()->data, marks.back(), live.back()->bytes);
    }
  }
  EXPECT_LT(pool->held(), 2u << 20);
  live.clear();
  EXPECT_EQ(pool->used(), 0);
}

TEST(core_memory_that_is_not_there_is_named) {
  const auto pool = std::make_shared<MemoryPool>();
  const auto kept = pool->allocate(100);
  const size_t used = pool->used();
  EXPECT_ERROR_WITH(ErrorCode::kOutOfMemory, "num_generations", pool->allocate(size_t{1} << 60));
  EXPECT_EQ(pool->used(), used);
}

// Storage may outlive the back end that it came from.
#if defined(__linux__)
// Bytes of this process that the system holds in memory.
size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

// Whether huge pages were asked for at an address: the flag "hg" of its mapping.
bool asked_for_huge_pages(const void* address) {
  std::ifstream file("/proc/self/smaps");
  std::string line;
  bool inside = false;
  while (std::getline(file, line)) {
    unsigned long begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      const auto at = reinterpret_cast<unsigned long>(address);
      inside = at >= begin && at < end;
    } else if (inside && line.starts_with("VmFlags:")) {
      return line.find(" hg") != std::string::npos;
    }
  }
  return false;
}

TEST(core_memory_of_large_arrays_asks_for_huge_pages_and_no_more_memory) {
  if (!std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled")) skip("a system without huge pages");
  constexpr size_t kMiB = size_t{1} << 20;
  const auto pool = std::make_shared<MemoryPool>();
  const size_t before = resident_bytes();
  // 33 MiB are taken from a block of 36: what lies behind the last whole huge page is not touched and takes nothing.
  const auto activations = pool->allocate(33 * kMiB);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(activations->data) % (2 * kMiB), 0u);
  EXPECT_TRUE(asked_for_huge_pages(activations->data));
  EXPECT_FALSE(asked_for_huge_pages(static_cast<char*>(activations->data) + 32 * kMiB));
  static_cast<volatile char*>(activations->data)[0] = 1;
  EXPECT_LT(resident_bytes() - before, 3 * kMiB);
  const MemoryScope cache(MemoryKind::kKvCache);
  EXPECT_FALSE(asked_for_huge_pages(pool->allocate(65 * kMiB)->data));
  EXPECT_FALSE(asked_for_huge_pages(pool->allocate(3 * kMiB)->data));
}
#endif

TEST(core_memory_outlives_its_back_end) {
  auto backend = make_cpu_backend({1, ""});
  Tensor x = backend->zeros({100});
  backend.reset();
  x.data<float>()[99] = 1.0f;
  EXPECT_EQ(x.data<float>()[99], 1.0f);
}

// -- Tensors.

TEST(core_tensors_check_their_views) {
  const auto backend = make_cpu_backend({1, ""});
  const Tensor x = backend->zeros({6, 4});
  EXPECT_EQ(x.rows(2, 5).shape(), (Shape{3, 4}));
  EXPECT_EQ(x.rows(2, 5).data<float>() - x.data<float>(), 8);
  EXPECT_EQ(x.rows(6, 6).numel(), 0);
  EXPECT_EQ(x.reshaped({2, 12}).data<float>(), x.data<float>());
  EXPECT_ERROR(ErrorCode::kShape, x.rows(2, 7));
  EXPECT_ERROR(ErrorCode::kShape, x.rows(3, 2));
  EXPECT_ERROR(ErrorCode::kShape, x.rows(-1, 2));
  EXPECT_ERROR(ErrorCode::kShape, x.reshaped({5, 5}));
  EXPECT_ERROR(ErrorCode::kDType, x.data<int32_t>());
  EXPECT_ERROR(ErrorCode::kShape, Tensor(x.storage(), x.storage()->bytes, {1}, DType::kF32));
  EXPECT_ERROR(ErrorCode::kShape, Shape({2, -1}));
  EXPECT_ERROR(ErrorCode::kShape, Shape({1, 1, 1, 1, 1, 1}));
  EXPECT_EQ((Shape{2, 3, 4}).rows(), 6);
  EXPECT_EQ((Shape{2, 3, 4}).cols(), 4);
  EXPECT_EQ((Shape{2, 3, 4}).str(), "[2, 3, 4]");
}

// -- Segment trees.

TEST(core_segments_know_their_relatives) {
  const SegmentTree tree{
      {{0, 5, -1, true}, {5, 2, 0, true}, {7, 1, 1, true}, {8, 3, 0, true}, {11, 4, -1, false}, {15, 1, 2, true}}, 16};
  tree.validate();
  EXPECT_EQ(tree.ancestors(0), std::vector<int32_t>{});
  EXPECT_EQ(tree.ancestors(5), (std::vector<int32_t>{0, 1, 2}));
  EXPECT_EQ(tree.descendants(0), (std::vector<int32_t>{1, 2, 3, 5}));
  EXPECT_EQ(tree.descendants(1), (std::vector<int32_t>{2, 5}));
  EXPECT_EQ(tree.descendants(4), std::vector<int32_t>{});
}

TEST(core_segments_are_checked) {
  const auto validate = [](const std::vector<Segment>& segments, int32_t tokens) {
    SegmentTree{segments, tokens}.validate();
  };
  validate({}, 0);
  EXPECT_ERROR_WITH(ErrorCode::kTree, "length above 0", validate({{0, 0, -1, true}}, 0));
  EXPECT_ERROR(ErrorCode::kTree, validate({{0, -4, -1, true}}, -4));
  EXPECT_ERROR_WITH(ErrorCode::kTree, "expected start 3, got 4", validate({{0, 3, -1, true}, {4, 1, -1, true}}, 5));
  EXPECT_ERROR_WITH(ErrorCode::kTree, "expected start 3, got 2", validate({{0, 3, -1, true}, {2, 1, -1, true}}, 3));
  EXPECT_ERROR(ErrorCode::kTree, validate({{1, 3, -1, true}}, 4));
  EXPECT_ERROR_WITH(ErrorCode::kTree, "parent, got 0", validate({{0, 3, 0, true}}, 3));
  EXPECT_ERROR_WITH(ErrorCode::kTree, "parent, got 1", validate({{0, 3, 1, true}, {3, 1, -1, true}}, 4));
  EXPECT_ERROR(ErrorCode::kTree, validate({{0, 3, -2, true}}, 3));
  EXPECT_ERROR_WITH(ErrorCode::kTree, "cover 3 tokens, expected 4", validate({{0, 3, -1, true}}, 4));
  // Lengths whose sum leaves 32 bits.
  constexpr int32_t kMost = std::numeric_limits<int32_t>::max();
  EXPECT_ERROR(ErrorCode::kTree, validate({{0, kMost, -1, true}, {kMost, kMost, -1, true}, {-2, 2, -1, true}}, 0));
}

// -- Random numbers.

TEST(core_random_coordinates_are_independent) {
  std::set<uint64_t> all;
  for (uint64_t seed = 0; seed < 4; ++seed)
    for (uint64_t a = 0; a < 10; ++a)
      for (uint64_t b = 0; b < 10; ++b)
        for (uint64_t c = 0; c < 10; ++c) all.insert(random_bits(seed, a, b, c));
  EXPECT_EQ(all.size(), 4000);
  // No order of coordinates is another's.
  EXPECT_TRUE(random_bits(0, 1, 2, 3) != random_bits(0, 3, 2, 1));
  EXPECT_TRUE(random_bits(1, 0, 0, 0) != random_bits(0, 1, 0, 0));
  // Neighbours along every axis do not move together, and half of the bits differ.
  for (int axis = 0; axis < 4; ++axis) {
    double correlation = 0.0, bits = 0.0;
    const int count = 20'000;
    for (int i = 0; i < count; ++i) {
      uint64_t at[4] = {5, 6, 7, 8};
      at[axis] = static_cast<uint64_t>(i);
      const uint64_t here = random_bits(at[0], at[1], at[2], at[3]);
      const double x = random_uniform(at[0], at[1], at[2], at[3]) - 0.5;
      at[axis]++;
      correlation += x * (random_uniform(at[0], at[1], at[2], at[3]) - 0.5) * 12 / count;
      bits += __builtin_popcountll(here ^ random_bits(at[0], at[1], at[2], at[3])) / double{count};
    }
    EXPECT_NEAR(correlation, 0.0, 0.03);
    EXPECT_NEAR(bits, 32.0, 0.15);
  }
}

TEST(core_random_uniform_numbers_are_uniform) {
  const int count = 100'000;
  std::vector<int> bins(20);
  double smallest = 1.0, largest = 0.0;
  for (int i = 0; i < count; ++i) {
    const double u = random_uniform(3, 1, static_cast<uint64_t>(i), 4);
    EXPECT_TRUE(u >= 0.0 && u < 1.0);
    bins[static_cast<size_t>(u * 20)]++;
    smallest = std::min(smallest, u);
    largest = std::max(largest, u);
  }
  for (const int bin : bins) EXPECT_NEAR(bin, count / 20.0, 300);  // over four standard deviations
  EXPECT_LT(smallest, 1e-3);
  EXPECT_GT(largest, 1 - 1e-3);
}

TEST(core_random_normal_numbers_have_the_moments) {
  const int count = 100'000;
  double moments[5] = {};
  for (int i = 0; i < count; ++i) {
    const double x = random_normal(9, 2, static_cast<uint64_t>(i));
    for (int m = 1; m <= 4; ++m) moments[m] += std::pow(x, m) / count;
  }
  EXPECT_NEAR(moments[1], 0.0, 0.015);
  EXPECT_NEAR(moments[2], 1.0, 0.02);
  EXPECT_NEAR(moments[3], 0.0, 0.05);
  EXPECT_NEAR(moments[4], 3.0, 0.15);
}

// Resuming a run counts on these never changing.
TEST(core_random_numbers_stay_what_they_are) {
  EXPECT_EQ(mix64(0), 0xe220a8397b1dcdafull);  // SplitMix64's first number of seed 0
  EXPECT_EQ(random_bits(1, 2, 3, 4), mix64(mix64(mix64(mix64(1) ^ 2) ^ 3) ^ 4));
}

// -- bf16.

TEST(core_bf16_round_trip_and_rounding) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = bf16_to_f32(static_cast<uint16_t>(bits));
    const uint16_t back = f32_to_bf16(value);
    if (std::isnan(value)) EXPECT_TRUE(std::isnan(bf16_to_f32(back)));
    else EXPECT_EQ(back, bits);
  }
  const auto rounded = [](float value) { return bf16_to_f32(f32_to_bf16(value)); };
  // Eight bits of mantissa: 1, 1 + 2⁻⁷, … Ties go to the even one.
  EXPECT_EQ(rounded(1.0f + 0x1p-8f), 1.0f);
  EXPECT_EQ(rounded(1.0f + 0x1p-8f + 0x1p-20f), 1.0f + 0x1p-7f);
  EXPECT_EQ(rounded(1.0f + 3 * 0x1p-8f), 1.0f + 0x1p-6f);
  EXPECT_EQ(rounded(-1.0f - 0x1p-8f), -1.0f);
  EXPECT_EQ(rounded(std::numeric_limits<float>::max()), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(rounded(std::numeric_limits<float>::quiet_NaN())));
  // A NaN whose upper mantissa is empty must not become infinite.
  const uint32_t low_nan = 0x7f800001u;
  float value;
  std::memcpy(&value, &low_nan, sizeof(value));
  EXPECT_TRUE(std::isnan(rounded(value)));
}

// -- Instruction sets.

TEST(core_instruction_sets_are_chosen_by_name) {
  const CpuIsaInfo info = cpu_isa_info();
  EXPECT_EQ(info.compiled[0], "baseline");
  EXPECT_EQ(info.supported[0], "baseline");
  for (const std::string& isa : info.supported) EXPECT_EQ(make_cpu_backend({2, isa})->name(), "cpu/" + isa + "/2");
  EXPECT_TRUE(std::count(info.supported.begin(), info.supported.end(), info.selected) == 1);
  EXPECT_ERROR_WITH(ErrorCode::kDevice, "baseline", make_cpu_backend({1, "abacus"}));
}

}  // namespace
}  // namespace vlmr1
