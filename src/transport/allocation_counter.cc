#include "transport/allocation_counter.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {
std::atomic<int> g_allocations = 0;
}

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
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace tflite_serving {

int NumAllocations() { return g_allocations; }

}  // namespace tflite_serving
