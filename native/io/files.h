// Files whole or not at all: what is written appears under its name complete and flushed to disk, or does not appear.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vlmr1 {

// The whole file. Throws ERR_IO, also above `max_bytes`.
std::string read_text_file(const std::string& path, size_t max_bytes = size_t{64} << 20);
// Creates the folder and those above it. Throws ERR_IO.
void make_directories(const std::string& directory);
bool file_exists(const std::string& path);
std::string join_path(const std::string& directory, const std::string& name);

// A file under a temporary name in the folder of its final one. Without commit() it is removed.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  // Flushes to disk, renames over `path`, flushes the folder.
  void commit();

 private:
  [[noreturn]] void fail_io(const char* what) const;

  std::string path_;
  std::string temporary_;
  int file_ = -1;
};

void write_text_file(const std::string& path, std::string_view text);

// A file mapped for reading. Throws ERR_IO.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return static_cast<const uint8_t*>(data_); }
  size_t size() const { return size_; }
  // The whole pages inside [data, data + bytes) leave the memory until they are read again.
  void discard(const void* data, size_t bytes) const;
  // Throws ERR_IO where somebody has written to the file since: what was not read yet would be something else, and
  // memory behind a shorter end would end the process. Replacing the file by its name is no harm.
  void check_unchanged() const;

 private:
  std::string path_;
  int file_ = -1;
  void* data_ = nullptr;
  size_t size_ = 0;
  int64_t written_ = 0;  // time of the last write, nanoseconds
};

}  // namespace vlmr1
