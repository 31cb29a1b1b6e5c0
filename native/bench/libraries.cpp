#include "bench/libraries/library.h"

namespace vlmr1::bench {

namespace {

std::vector<Library>& registered() {
  static std::vector<Library> list;
  return list;
}

}  // namespace

const std::vector<Library>& libraries() { return registered(); }

LibraryRegistration::LibraryRegistration(Library library) { registered().push_back(std::move(library)); }

}  // namespace vlmr1::bench
