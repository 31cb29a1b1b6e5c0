#include "io/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace vlmr1 {

namespace {

[[noreturn]] void fail_errno(const char* what, const std::string& path) {
  const int error = errno;
  fail(ErrorCode::kIo, what, " ", path, ": ", std::generic_category().message(error));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int open_to_read(const std::string& path, size_t& size) {
  // Without O_NONBLOCK, opening a pipe would wait for its writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail_errno("cannot open", path);
  struct stat status = {};
  const bool known = ::fstat(fd, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    ::close(fd);
    fail(ErrorCode::kIo, "cannot read ", path, ": not a regular file");
  }
  size = static_cast<size_t>(status.st_size);
  return fd;
}

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

// A rename is on disk only when its folder is. Some file systems refuse to flush folders; nothing is lost there that
// could be saved.
void flush_folder(const std::string& folder) {
  const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (descriptor.get() >= 0) ::fsync(descriptor.get());
}

}  // namespace

std::string read_text_file(const std::string& path, size_t max_bytes) {
  size_t size = 0;
  const Descriptor file(open_to_read(path, size));
  check(size <= max_bytes, ErrorCode::kIo, "cannot read ", path, ": expected at most ", max_bytes, " bytes, got ",
        size);
  std::string text(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::read(file.get(), text.data() + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("cannot read", path);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

void make_directories(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  check(!error, ErrorCode::kIo, "cannot make the folder ", directory, ": ", error.message());
  check(std::filesystem::is_directory(directory, error), ErrorCode::kIo, directory, " is not a folder");
}

bool file_exists(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error);
}

std::string join_path(const std::string& directory, const std::string& name) {
  return (std::filesystem::path(directory) / name).string();
}

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  static std::atomic<unsigned> counter{0};
  temporary_ = path + ".tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
  file_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) fail_errno("cannot create", temporary_);
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) ::close(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail_io(const char* what) const { fail_errno(what, path_); }

void AtomicFile::write(const void* data, size_t bytes) {
  const char* from = static_cast<const char*>(data);
  while (bytes > 0) {
    // Some kernels write at most 2 GiB a call.
    const ssize_t put = ::write(file_, from, bytes < (size_t{1} << 30) ? bytes : size_t{1} << 30);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_io("cannot write");
    from += put;
    bytes -= static_cast<size_t>(put);
  }
}

void AtomicFile::commit() {
  if (::fsync(file_) != 0) fail_io("cannot flush");
  const int closed = ::close(file_);
  file_ = -1;
  if (closed != 0) fail_io("cannot close");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_io("cannot rename the finished file to");
  temporary_.clear();
  flush_folder(folder_of(path_));
}

void write_text_file(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text.data(), text.size());
  file.commit();
}

namespace {

int64_t written_at(const struct stat& status) {
#ifdef __APPLE__
  const timespec& time = status.st_mtimespec;
#else
  const timespec& time = status.st_mtim;
#endif
  return static_cast<int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

MappedFile::MappedFile(const std::string& path) : path_(path) {
  Descriptor file(open_to_read(path, size_));
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) fail_errno("cannot read", path);
  written_ = written_at(status);
  if (size_ == 0) return;  // an empty mapping is an error to the system
  void* data = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) fail_errno("cannot map", path);
  data_ = data;
  file_ = file.release();
}

void MappedFile::check_unchanged() const {
  struct stat status = {};
  if (file_ < 0 || ::fstat(file_, &status) != 0) return;
  check(static_cast<size_t>(status.st_size) == size_ && written_at(status) == written_, ErrorCode::kIo, path_,
        " was written to while it is in use; load the model again, and replace files by renaming new ones over them");
}

void MappedFile::discard(const void* data, size_t bytes) const {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const auto end = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
  // Only a hint: where the system does not take it, more memory stays in use.
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
  if (file_ >= 0) ::close(file_);
}

}  // namespace vlmr1
