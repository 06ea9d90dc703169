#include "transport/allocation_counter.h"

#include <dlfcn.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string_view>

namespace {

std::atomic<int> g_allocations = 0;

// The runtime's library finds this program's operator new, too.
bool IsTheRuntimes(const void* caller) {
  Dl_info info{};
  return ::dladdr(caller, &info) != 0 && info.dli_fname != nullptr && std::string_view(info.dli_fname).find("libLiteRt") != std::string_view::npos;
}

}  // namespace

// The linker's --wrap sends calls of malloc and the like here; operator new of the standard library is replaced.
extern "C" {
// NOLINTBEGIN(bugprone-reserved-identifier): the names that --wrap prescribes
void* __real_malloc(size_t size);
void* __real_realloc(void* memory, size_t size);
void* __real_aligned_alloc(size_t alignment, size_t size);
void* __wrap_malloc(size_t size) {
  ++g_allocations;
  return __real_malloc(size);
}
void* __wrap_realloc(void* memory, size_t size) {
  ++g_allocations;
  return __real_realloc(memory, size);
}
void* __wrap_aligned_alloc(size_t alignment, size_t size) {
  ++g_allocations;
  return __real_aligned_alloc(alignment, size);
}
// NOLINTEND(bugprone-reserved-identifier)
}

void* operator new(size_t size) {
  void* const memory = IsTheRuntimes(__builtin_return_address(0)) ? __real_malloc(size) : std::malloc(size);
  if (memory != nullptr) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace tflite_serving {

int NumAllocations() { return g_allocations; }

}  // namespace tflite_serving
