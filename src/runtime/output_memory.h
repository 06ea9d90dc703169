// The memory into which the runtime writes one output.
#pragma once

#include <cstddef>

#include "base/status.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// Thread-compatible. Aligned to kTensorAlignment; not initialised, or zero.
//
// An output of known size has a buffer that grows to the largest size asked for so far. One whose size is only known after the run has a stretch of
// address space so long that no answer passes its end: the runtime does not check what it writes against the size it was given, so any
// estimate would be a heap overflow that waits for its request. Pages of the stretch cost nothing until they are written.
class OutputMemory {
 public:
  // Longer than any answer that a machine could compute in its memory.
  static constexpr size_t kReservedBytes = size_t{16} << 30;

  OutputMemory() = default;
  OutputMemory(OutputMemory&& other) noexcept;
  OutputMemory& operator=(OutputMemory&& other) noexcept;
  ~OutputMemory();

  // RESOURCE_EXHAUSTED when the process may not have the address space (ulimit -v, vm.overcommit_memory=2).
  static StatusOr<OutputMemory> Reserve();

  // Makes room for `size_bytes`; what was there is lost if that moves the memory. False if there is no memory for it.
  [[nodiscard]] bool Fit(size_t size_bytes);

  std::byte* data() { return reserved_ != nullptr ? reserved_ : buffer_.data(); }
  bool is_reserved() const { return reserved_ != nullptr; }

 private:
  std::byte* reserved_ = nullptr;
  AlignedBuffer buffer_;  // unless reserved
};

}  // namespace tflite_serving
