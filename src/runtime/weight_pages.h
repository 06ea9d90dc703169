// Huge pages for the packed weights of a model.
//
// A run reads all weights, and of pages of 4 KiB a processor remembers the addresses of a few megabytes only; the rest it looks up again, in a
// virtual machine through two sets of tables. LiteRT maps the weight cache (model.h) wherever there is room, where the kernel can map no huge
// page, and cannot be told otherwise. So this program has an mmap() of its own, which all libraries call.
#pragma once

#include <sys/stat.h>

#include <cstddef>

namespace tflite_serving {

// While one lives, each read-only shared mapping of the file `fd` that its thread makes at an address of the kernel's choice, of at least
// kHugePageBytes, lies so that huge pages fit, and as much of it as the kernel is able to is put into such pages at once (Linux 6.1; before, and
// where there are none, it stays as it is). All other mappings are made as ever. Not in sanitizer builds, whose mmap() has work of its own. Not
// nested.
class ScopedWeightPages {
 public:
  explicit ScopedWeightPages(int fd);
  ~ScopedWeightPages();
  ScopedWeightPages(const ScopedWeightPages&) = delete;
  ScopedWeightPages& operator=(const ScopedWeightPages&) = delete;

 private:
  struct stat file_{};
};

inline constexpr size_t kHugePageBytes = size_t{2} << 20;

}  // namespace tflite_serving
