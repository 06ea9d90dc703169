// Writes a tensor as nested JSON lists, compactly: [[1.0,2.5],[3.0,4.0]]; a complex number as a list of two, [re,im].
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "codec/json_writer.h"
#include "tensor/tensor.h"

namespace tflite_serving {

// One tensor, either as a whole or row by row. Borrows the view's bytes. Thread-compatible.
class JsonTensorWriter {
 public:
  // A tensor of no elements takes no memory, whatever its other dimensions, but its lists do.
  static constexpr int64_t kMaxEmptyLists = int64_t{1} << 20;

  // `name` is the output's: strings of one that ends with "_bytes" are written as {"b64": ...}, as TensorFlow Serving does; other strings go
  // out with their bytes as they are. INVALID_ARGUMENT `Failed to write JSON value for tensor type: int4` for a type that JSON has no
  // form for, and for more than kMaxEmptyLists; INTERNAL when bytes and shape do not belong together.
  static StatusOr<JsonTensorWriter> Create(std::string_view name, const TensorView& tensor);

  // All of it; a scalar without brackets.
  void WriteAll(JsonBuffer& out) { WriteDims(0, out); }
  // The next row: the tensor at the next index of the first dimension. Requires rank >= 1 and that there is a next one.
  void WriteRow(JsonBuffer& out) { WriteDims(1, out); }

 private:
  JsonTensorWriter(const TensorView& tensor, bool as_base64) : tensor_(tensor), as_base64_(as_base64) {}
  // The next tensor of the dimensions from `first` on.
  void WriteDims(int first, JsonBuffer& out);
  // The next `count` elements with commas between them.
  void WriteElements(int64_t count, JsonBuffer& out);
  template <class Element, size_t kMaxChars = kMaxNumberChars, class Write>
  void WriteNumbers(int64_t count, JsonBuffer& out, Write write);
  void WriteStrings(int64_t count, JsonBuffer& out);

  TensorView tensor_;
  bool as_base64_;
  int64_t next_ = 0;  // the element to be written next
};

}  // namespace tflite_serving
