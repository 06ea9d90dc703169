#include "runtime/weight_pages.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace tflite_serving {
namespace {

constinit thread_local bool t_wanted = false;

#if !defined(TFLS_ADDRESS_SANITIZER) && !defined(TFLS_THREAD_SANITIZER)

constexpr int kMadviseCollapse = 25;  // MADV_COLLAPSE, which C libraries before glibc 2.37 lack

void* SystemMap(void* address, size_t size, int protection, int flags, int fd, off_t offset) {
  return reinterpret_cast<void*>(::syscall(SYS_mmap, address, size, protection, flags, fd, offset));
}

// As mmap(), with a length of less than SIZE_MAX - kHugePageBytes.
void* MapInHugePages(size_t size, int protection, int flags, int fd, off_t offset) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  size = (size + page - 1) / page * page;
  const size_t reserved = size + kHugePageBytes;
  void* const room = SystemMap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (room == MAP_FAILED) return SystemMap(nullptr, size, protection, flags, fd, offset);
  char* const begin = static_cast<char*>(room);
  const size_t before = -reinterpret_cast<uintptr_t>(begin) % kHugePageBytes;
  void* const mapping = SystemMap(begin + before, size, protection, flags | MAP_FIXED, fd, offset);
  if (mapping == MAP_FAILED) {
    ::munmap(begin, reserved);
    return MAP_FAILED;
  }
  if (before > 0) ::munmap(begin, before);
  if (const size_t after = kHugePageBytes - before; after > 0) ::munmap(begin + before + size, after);
  (void)::madvise(mapping, size, kMadviseCollapse);  // what cannot be is read in small pages
  return mapping;
}

#endif

}  // namespace

ScopedWeightPages::ScopedWeightPages() { t_wanted = true; }
ScopedWeightPages::~ScopedWeightPages() { t_wanted = false; }

}  // namespace tflite_serving

#if !defined(TFLS_ADDRESS_SANITIZER) && !defined(TFLS_THREAD_SANITIZER)

// In place of the C library's for all that is linked dynamically; the C library itself keeps its own.
extern "C" __attribute__((visibility("default"))) void* mmap(void* address, size_t size, int protection, int flags, int fd, off_t offset) noexcept {
  using namespace tflite_serving;
  const bool is_weights = t_wanted && address == nullptr && protection == PROT_READ && flags == MAP_SHARED && size >= kHugePageBytes &&
                          size < SIZE_MAX - 2 * kHugePageBytes;
  return is_weights ? MapInHugePages(size, protection, flags, fd, offset) : SystemMap(address, size, protection, flags, fd, offset);
}

#endif
