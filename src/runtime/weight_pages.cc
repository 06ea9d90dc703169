#include "runtime/weight_pages.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace tflite_serving {
namespace {

constinit thread_local const struct stat* t_weights = nullptr;

#if !defined(TFLS_ADDRESS_SANITIZER) && !defined(TFLS_THREAD_SANITIZER)

constexpr int kMadviseCollapse = 25;  // MADV_COLLAPSE, which C libraries before glibc 2.37 lack

void* SystemMap(void* address, size_t size, int protection, int flags, int fd, off_t offset) {
  return reinterpret_cast<void*>(::syscall(SYS_mmap, address, size, protection, flags, fd, offset));
}

bool IsOfWeights(int fd) {
  struct stat file{};
  return ::fstat(fd, &file) == 0 && file.st_ino == t_weights->st_ino && file.st_dev == t_weights->st_dev;
}

// An address at which the file from `offset` on can be mapped in huge pages, unless another thread is quicker; null if there is no room.
void* FindRoom(size_t size, off_t offset) {
  const size_t found_size = size + kHugePageBytes;
  void* const found = SystemMap(nullptr, found_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (found == MAP_FAILED) return nullptr;
  ::munmap(found, found_size);
  return static_cast<char*>(found) + (static_cast<uintptr_t>(offset) - reinterpret_cast<uintptr_t>(found)) % kHugePageBytes;
}

void* MapWeights(size_t size, int fd, off_t offset) {
  void* const mapping = SystemMap(FindRoom(size, offset), size, PROT_READ, MAP_SHARED, fd, offset);
  if (mapping != MAP_FAILED) (void)::madvise(mapping, size, kMadviseCollapse);  // what cannot be is read in small pages
  return mapping;
}

#endif

}  // namespace

ScopedWeightPages::ScopedWeightPages(int fd) {
  if (::fstat(fd, &file_) == 0) t_weights = &file_;
}
ScopedWeightPages::~ScopedWeightPages() { t_weights = nullptr; }

}  // namespace tflite_serving

#if !defined(TFLS_ADDRESS_SANITIZER) && !defined(TFLS_THREAD_SANITIZER)

// In place of the C library's for all that is linked dynamically; the C library itself keeps its own.
extern "C" __attribute__((visibility("default"))) void* mmap(void* address, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  using namespace tflite_serving;
  const bool is_weights = t_weights != nullptr && address == nullptr && protection == PROT_READ && flags == MAP_SHARED && size >= kHugePageBytes &&
                          size <= SIZE_MAX - kHugePageBytes && IsOfWeights(fd);
  return is_weights ? MapWeights(size, fd, offset) : SystemMap(address, size, protection, flags, fd, offset);
}

#endif
