// Memory that the server and a worker share: an anonymous file that can grow and never shrink, so that no worker can take the server's mapping away
// under it (SIGBUS).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "base/unique_fd.h"

namespace tflite_serving {

// Thread-compatible. What the other side writes, and when, is a matter of trust between them: bytes may change while they are read.
class SharedArena {
 public:
  // Far more than kMaxTensorBytes for each of some inputs.
  static constexpr uint64_t kMaxBytes = uint64_t{32} << 30;

  // `name` is what /proc/PID/maps shows.
  static StatusOr<SharedArena> Create(const std::string& name);
  SharedArena(SharedArena&& other) noexcept;
  SharedArena& operator=(SharedArena&& other) noexcept;
  ~SharedArena();

  int fd() const { return fd_.get(); }

  // The first `size` bytes, to be written; the file grows if it is smaller. Spans given before are invalid then. RESOURCE_EXHAUSTED without memory.
  StatusOr<std::span<std::byte>> Write(size_t size);

  // Bytes that the other side says to have written; spans given before are invalid then. INTERNAL if they are not in the file.
  StatusOr<std::span<const std::byte>> Read(uint64_t offset, uint64_t size);

 private:
  explicit SharedArena(UniqueFd fd) : fd_(std::move(fd)) {}
  // Maps as much as the file has.
  Status Map(size_t size);

  UniqueFd fd_;
  std::byte* data_ = nullptr;
  size_t mapped_ = 0;
};

}  // namespace tflite_serving
