// A private, unchangeable copy of a file in memory.
//
// A model that were mapped straight from its file would end the process with SIGBUS when somebody truncates that file. So the bytes are copied
// once into a memfd, the memfd is sealed against writing and resizing, and every reader maps that.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "base/unique_fd.h"

namespace tflite_serving {

// Immutable, so thread-safe. Pages are shared with every other mapping of the same descriptor.
class SealedFile {
 public:
  // Copies the regular file at `path`. Errors name the path: NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (not a regular file, or empty),
  // RESOURCE_EXHAUSTED (over `limit_bytes`, or no memory), ABORTED (the file changed size while it was read: try again).
  static StatusOr<std::unique_ptr<SealedFile>> Copy(const std::string& path, size_t limit_bytes);
  // The same for bytes at hand; `name` is what /proc shows.
  static StatusOr<std::unique_ptr<SealedFile>> FromBytes(const std::string& name, std::span<const std::byte> bytes);

  ~SealedFile();
  SealedFile(const SealedFile&) = delete;
  SealedFile& operator=(const SealedFile&) = delete;

  // Readable for the lifetime of this object; page-aligned.
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  // The sealed descriptor, to hand to a child process. Owned by this object.
  int fd() const { return fd_.get(); }

 private:
  SealedFile(UniqueFd fd, const std::byte* data, size_t size) : fd_(std::move(fd)), data_(data), size_(size) {}
  static StatusOr<std::unique_ptr<SealedFile>> SealAndMap(const std::string& name, UniqueFd fd, size_t size);

  UniqueFd fd_;
  const std::byte* data_;
  size_t size_;
};

}  // namespace tflite_serving
