// A word that another thread sets to interrupt what runs. The thread pool looks at it before every task, so that an
// interruption takes effect within a kernel, not after a phase.
#pragma once

#include <cstdint>

#include "core/error.h"

namespace vlmr1 {

class StopFlag {
 public:
  StopFlag() = default;
  // `word` stays valid as long as the flag is in use; null: never stops.
  explicit StopFlag(const int32_t* word) : word_(word) {}
  bool requested() const { return word_ != nullptr && __atomic_load_n(word_, __ATOMIC_RELAXED) != 0; }
  void check() const {
    if (requested()) fail(ErrorCode::kAborted, "interrupted");
  }

 private:
  const int32_t* word_ = nullptr;
};

}  // namespace vlmr1
