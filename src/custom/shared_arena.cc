#include "custom/shared_arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

// Grows by steps that are not asked for again at once.
constexpr size_t kStepBytes = size_t{1} << 20;

}  // namespace

StatusOr<SharedArena> SharedArena::Create(const std::string& name) {
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return ErrnoToStatus(errno, "shared memory for a worker");
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) != 0) return ErrnoToStatus(errno, "sealing a worker's shared memory");
  return SharedArena(std::move(fd));
}

SharedArena::SharedArena(SharedArena&& other) noexcept
    : fd_(std::move(other.fd_)), data_(std::exchange(other.data_, nullptr)), mapped_(std::exchange(other.mapped_, 0)) {}

SharedArena& SharedArena::operator=(SharedArena&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(data_, other.data_);
  std::swap(mapped_, other.mapped_);
  return *this;
}

SharedArena::~SharedArena() {
  if (data_ != nullptr) ::munmap(data_, mapped_);
}

Status SharedArena::Map(size_t size) {
  void* const data =
      data_ == nullptr ? ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd_.get(), 0) : ::mremap(data_, mapped_, size, MREMAP_MAYMOVE);
  if (data == MAP_FAILED) return ErrnoToStatus(errno, fmt::format("mapping {} bytes of a worker's shared memory", size));
  data_ = static_cast<std::byte*>(data);
  mapped_ = size;
  return OkStatus();
}

StatusOr<std::span<std::byte>> SharedArena::Write(size_t size) {
  if (size > kMaxBytes) return ResourceExhaustedError(fmt::format("{} bytes of input for a worker, where {} are allowed", size, kMaxBytes));
  if (size > mapped_) {
    const size_t grown = (size + kStepBytes - 1) / kStepBytes * kStepBytes;
    // Allocated now: memory that is short later would end the process that touches it.
    if (const int error = ::posix_fallocate(fd_.get(), 0, static_cast<off_t>(grown)); error != 0) {
      return ResourceExhaustedError(fmt::format("no memory for {} bytes of input for a worker", size));
    }
    TFLS_RETURN_IF_ERROR(Map(grown));
  }
  return std::span(data_, size);
}

StatusOr<std::span<const std::byte>> SharedArena::Read(uint64_t offset, uint64_t size) {
  const auto is_inside = [offset, size](uint64_t of) { return size <= of && offset <= of - size; };
  if (!is_inside(mapped_)) {
    struct stat info{};
    if (::fstat(fd_.get(), &info) != 0) return ErrnoToStatus(errno, "a worker's shared memory");
    const auto file_bytes = static_cast<uint64_t>(info.st_size);
    if (!is_inside(file_bytes) || file_bytes > kMaxBytes) {
      return InternalError(fmt::format("the worker names bytes {} to {} of its output, which has {}", offset, offset + size, file_bytes));
    }
    TFLS_RETURN_IF_ERROR(Map(file_bytes));
  }
  return std::span<const std::byte>(data_ + offset, size);
}

}  // namespace tflite_serving
