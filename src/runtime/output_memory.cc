#include "runtime/output_memory.h"

#include <sys/mman.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {

OutputMemory::OutputMemory(OutputMemory&& other) noexcept : reserved_(std::exchange(other.reserved_, nullptr)), buffer_(std::move(other.buffer_)) {}

OutputMemory& OutputMemory::operator=(OutputMemory&& other) noexcept {
  std::swap(reserved_, other.reserved_);
  std::swap(buffer_, other.buffer_);
  return *this;
}

OutputMemory::~OutputMemory() {
  if (reserved_ != nullptr) ::munmap(reserved_, kReservedBytes);
}

StatusOr<OutputMemory> OutputMemory::Reserve() {
  void* address = ::mmap(nullptr, kReservedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) {
    return ErrnoToStatus(errno, fmt::format("reserving {} bytes of address space for an output of unknown size", kReservedBytes));
  }
  // A huge page would make two megabytes of a four-byte answer. The kernel may not know huge pages at all: then there is nothing to forbid.
  (void)::madvise(address, kReservedBytes, MADV_NOHUGEPAGE);
  OutputMemory memory;
  memory.reserved_ = static_cast<std::byte*>(address);
  return memory;
}

bool OutputMemory::Fit(size_t size_bytes) {
  if (reserved_ != nullptr) return size_bytes <= kReservedBytes;
  return buffer_.Reserve(size_bytes);
}

}  // namespace tflite_serving
