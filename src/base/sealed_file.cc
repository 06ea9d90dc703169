#include "base/sealed_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

namespace tflite_serving {
namespace {

StatusOr<UniqueFd> NewMemfd(const std::string& name) {
  UniqueFd fd(::memfd_create(name.substr(0, 200).c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return ErrnoToStatus(errno, fmt::format("memfd_create for {}", name));
  return fd;
}

Status WriteAll(int fd, const std::byte* data, size_t size, const std::string& name) {
  while (size > 0) {
    const ssize_t n = ::write(fd, data, size);
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoToStatus(errno, fmt::format("copying {} into memory", name));
    }
    data += n;
    size -= static_cast<size_t>(n);
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::unique_ptr<SealedFile>> SealedFile::Copy(const std::string& path, size_t limit_bytes) {
  // O_NONBLOCK: opening a FIFO without a writer would wait for ever.
  const UniqueFd source(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!source.valid()) return ErrnoToStatus(errno, path);
  struct stat info{};
  if (::fstat(source.get(), &info) != 0) return ErrnoToStatus(errno, path);
  if (!S_ISREG(info.st_mode)) return InvalidArgumentError(fmt::format("{}: not a regular file", path));
  const auto expected = static_cast<size_t>(info.st_size);
  if (expected == 0) return InvalidArgumentError(fmt::format("{}: the file is empty", path));
  if (expected > limit_bytes) {
    return ResourceExhaustedError(fmt::format("{}: {} bytes, larger than the limit of {} bytes", path, expected, limit_bytes));
  }

  TFLS_ASSIGN_OR_RETURN(UniqueFd fd, NewMemfd(path));
  std::unique_ptr<std::byte[]> chunk = std::make_unique<std::byte[]>(1 << 20);
  size_t size = 0;
  for (;;) {
    const ssize_t n = ::read(source.get(), chunk.get(), 1 << 20);
    if (n == 0) break;
    if (n < 0) {
      if (errno == EINTR) continue;
      return ErrnoToStatus(errno, path);
    }
    size += static_cast<size_t>(n);
    if (size > expected) break;
    TFLS_RETURN_IF_ERROR(WriteAll(fd.get(), chunk.get(), static_cast<size_t>(n), path));
  }
  if (size != expected) {
    return Status(StatusCode::kAborted, fmt::format("{}: changed while it was read: {} bytes at first, then {}", path, expected, size));
  }
  return SealAndMap(path, std::move(fd), size);
}

StatusOr<std::unique_ptr<SealedFile>> SealedFile::FromBytes(const std::string& name, std::span<const std::byte> bytes) {
  if (bytes.empty()) return InvalidArgumentError(fmt::format("{}: no bytes", name));
  TFLS_ASSIGN_OR_RETURN(UniqueFd fd, NewMemfd(name));
  TFLS_RETURN_IF_ERROR(WriteAll(fd.get(), bytes.data(), bytes.size(), name));
  return SealAndMap(name, std::move(fd), bytes.size());
}

StatusOr<std::unique_ptr<SealedFile>> SealedFile::SealAndMap(const std::string& name, UniqueFd fd, size_t size) {
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
    return ErrnoToStatus(errno, fmt::format("sealing the copy of {}", name));
  }
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED) return ErrnoToStatus(errno, fmt::format("mapping the copy of {}", name));
  return std::unique_ptr<SealedFile>(new SealedFile(std::move(fd), static_cast<const std::byte*>(data), size));
}

SealedFile::~SealedFile() { ::munmap(const_cast<std::byte*>(data_), size_); }

}  // namespace tflite_serving
